import { userDeleted, userRegistered, userUpdated } from '@im/contracts/user'
import { type EventHandler, exactlyOnce, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { removeFromRooms } from './members/remove-from-rooms.ts'
import { projection, renamePerson } from './people/follow-users.ts'

/** What this service does with the events of others. */
export function eventHandlers(deps: Deps): EventHandler[] {
  return [
    exactlyOnce(userRegistered, (user, change) => renamePerson(deps, user, change), { projection }),
    exactlyOnce(userUpdated, (user, change) => renamePerson(deps, user, change), { projection }),
    on(userDeleted, async ({ userId }) => {
      await deps.erasedUsers.note(userId)
      await removeFromRooms(deps, userId)
    }),
  ]
}
