import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { UserLogins } from './logins-repository.ts'
import { announceRevocation, type EndedSession, type RevocationReason } from './revoke-sessions.ts'

/**
 * Ends everything a user is logged in with, as read within the change that is the reason, those of our own pages too, and announces
 * it.
 */
export function endAllSessions(
  { sessions, pageSessions, now }: Pick<Deps, 'sessions' | 'pageSessions' | 'now'>,
  userId: number,
  logins: UserLogins | undefined,
  reason: RevocationReason,
  change: Change,
): EndedSession[] {
  const { sessions: ofApps = [], pageSessions: ofPages = [] } = logins ?? {}
  sessions.remove(ofApps, change)
  pageSessions.remove(ofPages, change)
  const ended = [...ofApps, ...ofPages.map(({ _id, kind }) => ({ sessionId: _id, device: kind }))]
  announceRevocation(change, userId, ended, reason, now())
  return ended
}
