import type { Caller } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { announceRevocation, forgetSessions } from './revoke-sessions.ts'

/** Logs out. The session and the refresh tokens of its device are void when this resolves. */
export async function endSession(
  deps: Deps,
  { userId, sessionId, device }: Pick<Caller, 'userId' | 'sessionId' | 'device'>,
): Promise<void> {
  const { outbox, sessions, refreshTokens, users, now } = deps
  const ended = await outbox.commit(async (change) => {
    const removed = await sessions.removeOne(sessionId, change)
    if (removed.length) refreshTokens.removeDevice(userId, device, change)
    users.noteOffline(userId, Math.floor(now() / 1000), change)
    announceRevocation(change, userId, removed, 'logout', now())
    return removed
  })
  await forgetSessions(deps, userId, ended, 'logout')
}
