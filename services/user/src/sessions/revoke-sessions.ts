import { sessionRevoked } from '@im/contracts/user'
import { type Change, tellEndedSessions } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { SessionDocument } from './sessions-repository.ts'

export type RevocationReason = 'logout' | 'login' | 'refresh' | 'password' | 'locked' | 'revoked' | 'deleted'

/** What is told of a session that ended. */
export type EndedSession = Pick<SessionDocument, 'sessionId' | 'refresh'> & { device: string }

/** Streams that were opened with the token of a session go by its family, which ends too unless a refresh goes on with it. */
function payloadOf(userId: number, ended: readonly EndedSession[], reason: RevocationReason, at: number) {
  const families =
    reason === 'refresh'
      ? []
      : ended.flatMap(({ refresh, device }) => (refresh ? [{ family: refresh.family, device }] : []))
  return {
    userId,
    sessionIds: [...ended.map(({ sessionId }) => sessionId), ...families.map(({ family }) => family)],
    devices: [...ended, ...families].map(({ device }) => device),
    reason,
    at,
  }
}

/** Announces sessions that were removed in this change. */
export function announceRevocation(
  change: Change,
  userId: number,
  ended: readonly EndedSession[],
  reason: RevocationReason,
  at: number,
): void {
  if (ended.length) change.announce(sessionRevoked, String(userId), payloadOf(userId, ended, reason, at))
}

/**
 * Tells gateways of a revocation and removes the copies in Redis, after the commit. Neither waits for the other, and neither fails
 * the caller: the sessions are gone, gateways hear the event of it too, and its handler removes the copies again. The gateway that
 * passes the answer on hears of it by the answer.
 */
export async function forgetSessions(
  { sessionCache, bus, now, log }: Pick<Deps, 'sessionCache' | 'bus' | 'now' | 'log'>,
  userId: number,
  ended: readonly EndedSession[],
  reason: RevocationReason,
): Promise<void> {
  if (!ended.length) return
  tellEndedSessions(ended.map(({ sessionId }) => sessionId))
  const revoked = payloadOf(userId, ended, reason, now())
  const [told] = await Promise.allSettled([
    bus.broadcast(sessionRevoked, revoked),
    sessionCache.remove(revoked.sessionIds),
  ])
  if (told.status === 'rejected') log.warn({ err: told.reason, userId }, 'a revocation was not broadcast yet')
}
