import { sessionRevoked } from '@im/contracts/user'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { SessionDocument } from './sessions-repository.ts'

export type RevocationReason = 'logout' | 'login' | 'refresh' | 'password' | 'locked' | 'revoked'

const payloadOf = (userId: number, ended: readonly SessionDocument[], reason: RevocationReason, at: number) => ({
  userId,
  sessionIds: ended.map(({ sessionId }) => sessionId),
  devices: ended.map(({ device }) => device as string),
  reason,
  at,
})

/** Announces sessions that were removed in this change. */
export function announceRevocation(
  change: Change,
  userId: number,
  ended: readonly SessionDocument[],
  reason: RevocationReason,
  at: number,
): void {
  if (ended.length) change.announce(sessionRevoked, String(userId), payloadOf(userId, ended, reason, at))
}

/** After the commit: no copy and no gateway knows the sessions any more when this resolves. */
export async function forgetSessions(
  { sessionCache, bus, now, log }: Pick<Deps, 'sessionCache' | 'bus' | 'now' | 'log'>,
  userId: number,
  ended: readonly SessionDocument[],
  reason: RevocationReason,
): Promise<void> {
  if (!ended.length) return
  try {
    await sessionCache.drop(ended.map(({ sessionId }) => sessionId))
    await bus.broadcast(sessionRevoked, payloadOf(userId, ended, reason, now()))
  } catch (error) {
    // The revocation is committed; the subscriber of session.revoked drops the copies as soon as the stores answer.
    log.warn({ err: error, userId }, 'revoked sessions are still cached')
  }
}
