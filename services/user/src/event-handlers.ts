import { presenceChanged } from '@im/contracts/message'
import { sessionRevoked } from '@im/contracts/user'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { recordPresence } from './presence/record-presence.ts'

/** What this service does when it hears of something. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { bus, sessionCache } = deps
  return [
    on(presenceChanged, (change) => recordPresence(deps, change)),
    // Makes sure of it when this process died, or the cache or NATS was away, right after the revocation.
    on(sessionRevoked, async (revoked) => {
      await sessionCache.drop(revoked.sessionIds)
      await bus.broadcast(sessionRevoked, revoked)
    }),
  ]
}
