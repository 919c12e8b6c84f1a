import { presenceChanged, presencesChanged } from '@im/contracts/message'
import { sessionRevoked } from '@im/contracts/user'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { recordPresences } from './presence/record-presences.ts'

/** What this service does when it hears of something. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { bus, sessionCache } = deps
  return [
    on(presenceChanged, (change) => recordPresences(deps, [change])),
    on(presencesChanged, ({ changes }) => recordPresences(deps, changes)),
    // Tells it again: the process that revoked may have died, or NATS have been away, before anybody heard of it.
    on(sessionRevoked, async (revoked) => {
      await Promise.all([bus.broadcast(sessionRevoked, revoked), sessionCache.remove(revoked.sessionIds)])
    }),
  ]
}
