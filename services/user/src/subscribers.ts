import { presenceChanged } from '@im/contracts/message'
import { sessionRevoked } from '@im/contracts/user'
import type { Subscription } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { recordPresence } from './presence/record-presence.ts'

/** What this service does when it hears of something. */
export async function subscribe(deps: Deps): Promise<Subscription[]> {
  const { bus, sessionCache } = deps
  return Promise.all([
    bus.subscribe(presenceChanged, { service: 'user', handle: (change) => recordPresence(deps, change) }),
    // Makes sure of it when this process died, or the cache or NATS was away, right after the revocation.
    bus.subscribe(sessionRevoked, {
      service: 'user',
      async handle(revoked) {
        await sessionCache.drop(revoked.sessionIds)
        await bus.broadcast(sessionRevoked, revoked)
      },
    }),
  ])
}
