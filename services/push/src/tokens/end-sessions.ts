import type { Payload } from '@im/contracts'
import type { sessionRevoked } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** Takes the tokens of sessions that have ended, and those that calls of them register yet. Who refreshes a session stays logged in. */
export async function endSessions(
  { tokens, endedSessions, now }: Pick<Deps, 'tokens' | 'endedSessions' | 'now'>,
  { userId, sessionIds, devices, reason, at }: Payload<typeof sessionRevoked>,
): Promise<void> {
  if (reason === 'refresh') return
  // Before the tokens are looked for: what is registered later finds it.
  await endedSessions.add(sessionIds, now())
  await tokens.removeOfSessions(userId, { sessionIds, classes: devices, until: at })
}
