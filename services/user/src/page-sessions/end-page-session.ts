import type { Deps } from '../deps.ts'
import { announceRevocation, forgetSessions } from '../sessions/revoke-sessions.ts'

/** Logs out of our own pages. Ending a session again changes nothing. */
export async function endPageSession(deps: Deps, sessionId: string): Promise<void> {
  const { outbox, pageSessions, now } = deps
  const [ended] = await outbox.commit(async (change) => {
    const removed = await pageSessions.removeOne(sessionId, change)
    for (const { _id, kind, userId } of removed)
      announceRevocation(change, userId, [{ sessionId: _id, device: kind }], 'logout', now())
    return removed
  })
  if (ended) await forgetSessions(deps, ended.userId, [{ sessionId: ended._id, device: ended.kind }], 'logout')
}
