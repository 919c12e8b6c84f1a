import type { Deps } from '../deps.ts'
import { type OpenedSession, openSession } from '../sessions/open-session.ts'
import { announceRevocation, forgetSessions } from '../sessions/revoke-sessions.ts'
import type { SessionDocument } from '../sessions/sessions-repository.ts'
import { familyOf, tokenId } from '../sessions/tokens.ts'
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
  const { sessions, users, outbox, now } = deps
  const id = tokenId(token)
  const known = await sessions.ofFamily(familyOf(token))
  const isExpired = known?.refresh?.tokenId === id && known.refresh.expiresAt.getTime() <= now()
  if (!known || isExpired) throw invalidGrant('the refresh token is unknown or expired')
  const { userId, device } = known
  const user = await users.byId(userId)
  if (user?.status !== 1) throw invalidGrant('the account is locked or gone')
  const opened = await outbox.commit(async (change) => {
    const session = await sessions.ofDevice(userId, device, change)
    if (session?.refresh?.tokenId !== id) return undefined
    const { serial, model, keyMacs } = session
    // A renewed session is no new login, so sessions on other devices go on.
    const owner = { userId, device, serial, model, ip, multipleDevices: true, keyMacs }
    const next = await openSession(deps, owner, { withRefresh: true, replaced: token }, change)
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

/** Ends everything that came from one login. Does nothing when the session of its device is that of a newer login by now. */
export async function revokeFamily(
  deps: Deps,
  { userId, device, refresh }: Pick<SessionDocument, 'userId' | 'device' | 'refresh'>,
): Promise<void> {
  const { sessions, outbox, now } = deps
  const ended = await outbox.commit(async (change) => {
    const session = await sessions.ofDevice(userId, device, change)
    if (!session || session.refresh?.family !== refresh?.family) return []
    sessions.remove([session], change)
    announceRevocation(change, userId, [session], 'revoked', now())
    return [session]
  })
  await forgetSessions(deps, userId, ended, 'revoked')
}
