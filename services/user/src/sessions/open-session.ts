import { randomBytes } from 'node:crypto'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { DeviceClass } from './device-class.ts'
import { copyOf } from './session-cache.ts'
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
 * Opens a session inside a change. It replaces the session of the same device class and its refresh tokens, except those of
 * `family`, the login that this session continues. `withRefresh` also makes a refresh token. `isFirst`: the user is new and has nothing
 * to replace.
 *
 * The copy for the gateways is written before the commit: whatever revokes the session comes after the commit, so it cannot
 * miss the copy. Nobody knows the token of a session that was not committed.
 */
export async function openSession(
  deps: Pick<Deps, 'sessions' | 'sessionCache' | 'refreshTokens' | 'now'>,
  owner: SessionOwner,
  tokens: { withRefresh: boolean; family?: string; isFirst?: boolean },
  change: Change,
): Promise<OpenedSession> {
  const { sessions, sessionCache, refreshTokens, now } = deps
  const { userId, device, serial, model, ip, keyMacs } = owner
  const at = now()
  const accessToken = newAccessToken()
  const family = tokens.withRefresh ? (tokens.family ?? randomBytes(12).toString('hex')) : undefined
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
    isRefreshable: tokens.withRefresh,
    ...(family ? { family } : {}),
    ...(keyMacs ? { keyMacs } : {}),
  }
  const before = tokens.isFirst ? [] : await sessions.of(userId, change)
  const replaced = before.find(({ _id }) => _id === session._id)
  const ended = owner.multipleDevices ? before.filter((one) => one === replaced) : before
  sessions.replace(session, ended, change)
  if (!owner.multipleDevices && !tokens.isFirst) refreshTokens.removeOthers(userId, device, change)
  // A session that has expired may be deleted already, while its refresh tokens live.
  if (!tokens.family && (replaced?.isRefreshable ?? !tokens.isFirst)) refreshTokens.removeDevice(userId, device, change)
  const refreshToken = family && addRefreshToken(deps, owner, family, change)
  await sessionCache.put(copyOf(session), at)
  return { accessToken, refreshToken, session, ended }
}

function addRefreshToken(
  { refreshTokens, now }: Pick<Deps, 'refreshTokens' | 'now'>,
  { userId, device }: SessionOwner,
  family: string,
  change: Change,
): string {
  const token = newRefreshToken()
  const expiresAt = new Date(now() + refreshSeconds * 1000)
  refreshTokens.add({ _id: tokenId(token), userId, device, family, used: false, expiresAt }, change)
  return token
}
