import { presenceChanged, presencesChanged } from '@im/contracts/message'
import { employeesJoined, employeesLeft } from '@im/contracts/org'
import { configChanged, sessionRevoked, userDeleted } from '@im/contracts/user'
import { type EventHandler, on, StoreAwayError } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { forgetUser } from './forget-user.ts'
import { changesOfLists } from './own-changes/follow-changes.ts'
import { recordPresences } from './presence/record-presences.ts'

/** What this service does with the events of others and its own. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { bus, erasedUsers, sessionCache, users } = deps
  return [
    on(presenceChanged, (change) => recordPresences(deps, [change])),
    on(presencesChanged, ({ changes }) => recordPresences(deps, changes)),
    // Whoever keeps values of the configuration reads them again: the processes of this service, too.
    on(configChanged, (change) => bus.broadcast(configChanged, change)),
    ...changesOfLists(deps),
    on(employeesJoined, ({ userIds }) => users.changeElsewhere(userIds)),
    on(employeesLeft, ({ userIds }) => users.changeElsewhere(userIds)),
    on(userDeleted, async ({ userId }) => {
      await erasedUsers.note(userId)
      await forgetUser(deps, userId)
    }),
    // The process that revoked may have died before it could remove the copies. So may this one: the event waits for Redis.
    on(sessionRevoked, async ({ sessionIds }) => {
      if (!(await sessionCache.removeOnceMore(sessionIds)))
        throw new StoreAwayError('Redis', 'copies of revoked sessions are there')
    }),
  ]
}
