import type { Deps } from '../deps.ts'
import { type OpenedSession, openSession } from '../sessions/open-session.ts'
import type { RefreshTokenDocument } from '../sessions/refresh-tokens-repository.ts'
import { announceRevocation, forgetSessions } from '../sessions/revoke-sessions.ts'
import { tokenId } from '../sessions/tokens.ts'
import type { UserDocument } from '../users/user-document.ts'
import { invalidGrant } from './grant-token.ts'

/**
 * Grant type refresh_token: replaces a pair of tokens by a new one. A refresh token that is used a second time was stolen, so
 * its whole family and the session of its device end.
 */
export async function refreshToken(
  deps: Deps,
  token: string,
  ip: string,
): Promise<{ user: UserDocument; opened: OpenedSession }> {
  const { refreshTokens, sessions, users, outbox, now } = deps
  const known = await refreshTokens.find(tokenId(token), now())
  if (!known) throw invalidGrant('the refresh token is unknown or expired')
  const { _id: id, userId, device, family } = known
  const user = await users.byId(userId)
  if (user?.status !== 1) throw invalidGrant('the account is locked or gone')
  const opened = await outbox.commit(async (change) => {
    if (!(await refreshTokens.use(id, change))) return undefined
    // The device stays the same. A session that ended long ago is deleted, and then its device is unknown.
    const { serial = '', model = '', keyMacs } = (await sessions.ofDevice(userId, device, change)) ?? {}
    // A renewed session is no new login, so sessions on other devices go on.
    const owner = { userId, device, serial, model, ip, multipleDevices: true, keyMacs }
    const next = await openSession(deps, owner, { withRefresh: true, family }, change)
    announceRevocation(change, userId, next.ended, 'refresh', now())
    return next
  })
  if (!opened) {
    await revokeFamily(deps, known)
    throw invalidGrant('the refresh token was used before')
  }
  await forgetSessions(deps, userId, opened.ended, 'refresh')
  return { user, opened }
}

/**
 * Ends everything that came from one login: its refresh tokens and the session of its device. Does nothing when it has ended since the
 * token was read: the session may be that of a newer login then.
 */
export async function revokeFamily(
  deps: Deps,
  { _id: id, userId, device, family }: RefreshTokenDocument,
): Promise<void> {
  const { refreshTokens, sessions, outbox, now } = deps
  const ended = await outbox.commit(async (change) => {
    if (!(await refreshTokens.exists(id, change))) return []
    const removed = await sessions.removeDevice(userId, device, change)
    refreshTokens.removeFamily(family, change)
    // A session that has expired is deleted, while streams that were opened with its token may live.
    const all = removed.length ? removed : [{ sessionId: family, device }]
    announceRevocation(change, userId, all, 'revoked', now())
    return all
  })
  await forgetSessions(deps, userId, ended, 'revoked')
}
