import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { announceRevocation, type EndedSession, type RevocationReason } from './revoke-sessions.ts'

/** Ends everything a user is logged in with, those of our own pages too, and announces it. Part of the change that is the reason. */
export async function endAllSessions(
  { sessions, pageSessions, refreshTokens, now }: Pick<Deps, 'sessions' | 'pageSessions' | 'refreshTokens' | 'now'>,
  userId: number,
  reason: RevocationReason,
  change: Change,
): Promise<EndedSession[]> {
  const ofApps = await sessions.removeAll(userId, change)
  const ofPages = await pageSessions.removeAll(userId, change)
  await refreshTokens.removeAll(userId, change)
  const ended = [...ofApps, ...ofPages.map(({ _id, kind }) => ({ sessionId: _id, device: kind }))]
  announceRevocation(change, userId, ended, reason, now())
  return ended
}
