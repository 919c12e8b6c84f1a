import { randomBytes } from 'node:crypto'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { DeviceClass } from './device-class.ts'
import type { SessionDocument } from './sessions-repository.ts'
import { accessSeconds, newAccessToken, newRefreshToken, refreshSeconds, tokenId } from './tokens.ts'

export interface SessionOwner {
  userId: number
  device: DeviceClass
  serial: string
  model: string
  ip: string
  /** False: the new session ends those on all other devices. */
  multipleDevices: boolean
}

export interface OpenedSession {
  accessToken: string
  refreshToken?: string
  session: SessionDocument
  /** Sessions that this one ended. */
  ended: SessionDocument[]
}

/**
 * Opens a session inside a change. It replaces the session of the same device class and its refresh tokens, except those of
 * `family`, the login that this session continues. `withRefresh` also makes a refresh token.
 */
export async function openSession(
  { sessions, refreshTokens, now }: Pick<Deps, 'sessions' | 'refreshTokens' | 'now'>,
  owner: SessionOwner,
  tokens: { withRefresh: boolean; family?: string },
  change: Change,
): Promise<OpenedSession> {
  const { userId, device, serial, model, ip } = owner
  const at = now()
  const accessToken = newAccessToken()
  const row = {
    sessionId: tokenId(accessToken),
    userId,
    device,
    serial,
    model,
    ip,
    createdAt: new Date(at),
    expiresAt: new Date(at + accessSeconds * 1000),
  }
  const replaced = await sessions.replace(row, change)
  const ended = replaced ? [replaced] : []
  if (!owner.multipleDevices) {
    ended.push(...(await sessions.removeOthers(userId, device, change)))
    await refreshTokens.removeOthers(userId, device, change)
  }
  if (!tokens.family) await refreshTokens.removeDevice(userId, device, change)
  const opened: OpenedSession = { accessToken, session: { _id: `${userId}:${device}`, ...row }, ended }
  if (tokens.withRefresh) {
    opened.refreshToken = newRefreshToken()
    const family = tokens.family ?? randomBytes(12).toString('hex')
    const expiresAt = new Date(at + refreshSeconds * 1000)
    await refreshTokens.add(
      { _id: tokenId(opened.refreshToken), userId, device, family, used: false, expiresAt },
      change,
    )
  }
  return opened
}
