import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { DeviceClass } from './device-class.ts'
import { copyOf } from './session-cache.ts'
import type { SessionDocument } from './sessions-repository.ts'
import { accessSeconds, familyOf, newAccessToken, newRefreshToken, refreshSeconds, tokenId } from './tokens.ts'

export interface SessionOwner {
  userId: number
  device: DeviceClass
  serial: string
  model: string
  ip: string
  /** False: the new session ends those on all other devices. */
  multipleDevices: boolean
  keyMacs?: readonly string[]
}

export interface OpenedSession {
  accessToken: string
  refreshToken?: string
  session: SessionDocument
  /** Sessions that this one ended. */
  ended: SessionDocument[]
}

/**
 * Opens a session inside a change. It replaces the session of the same device class with its refresh token. `withRefresh` also makes
 * one, which goes on with the login of `replaced`, the refresh token that was used. `isFirst`: the user is new and has nothing to
 * replace.
 *
 * The copy for the gateways is written before the commit: whatever revokes the session comes after the commit, so it cannot
 * miss the copy. Nobody knows the token of a session that was not committed.
 */
export async function openSession(
  deps: Pick<Deps, 'sessions' | 'sessionCache' | 'now'>,
  owner: SessionOwner,
  tokens: { withRefresh: boolean; replaced?: string; isFirst?: boolean },
  change: Change,
): Promise<OpenedSession> {
  const { sessions, sessionCache, now } = deps
  const { userId, device, serial, model, ip, keyMacs } = owner
  const at = now()
  const accessToken = newAccessToken()
  const refreshToken = tokens.withRefresh ? newRefreshToken(tokens.replaced) : undefined
  const session: SessionDocument = {
    _id: `${userId}:${device}`,
    sessionId: tokenId(accessToken),
    userId,
    device,
    serial,
    model,
    ip,
    createdAt: new Date(at),
    expiresAt: new Date(at + accessSeconds * 1000),
    ...(refreshToken ? { refresh: refreshOf(refreshToken, at) } : {}),
    ...(keyMacs ? { keyMacs } : {}),
  }
  const before = tokens.isFirst ? [] : await sessions.of(userId, change)
  const replaced = before.find(({ _id }) => _id === session._id)
  const ended = owner.multipleDevices ? before.filter((one) => one === replaced) : before
  sessions.replace(session, ended, change)
  await sessionCache.put(copyOf(session), at)
  return { accessToken, refreshToken, session, ended }
}

const refreshOf = (token: string, at: number) => ({
  family: familyOf(token),
  tokenId: tokenId(token),
  expiresAt: new Date(at + refreshSeconds * 1000),
})
