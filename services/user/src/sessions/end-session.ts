import type { Caller } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { announceRevocation, forgetSessions } from './revoke-sessions.ts'

/** Logs out. The session and its refresh token are void when this resolves. */
export async function endSession(
  deps: Deps,
  { userId, sessionId }: Pick<Caller, 'userId' | 'sessionId'>,
): Promise<void> {
  const { outbox, sessions, users, now } = deps
  const ended = await outbox.commit(async (change) => {
    const removed = await sessions.removeOne(sessionId, change)
    users.noteOffline(userId, Math.floor(now() / 1000), change)
    announceRevocation(change, userId, removed, 'logout', now())
    return removed
  })
  await forgetSessions(deps, userId, ended, 'logout')
}
