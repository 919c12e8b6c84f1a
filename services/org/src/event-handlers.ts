import { userDeleted, userUpdated } from '@im/contracts/user'
import { type EventHandler, exactlyOnce, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { projection } from './employees/follow-users.ts'
import { removeFromCompanies } from './employees/remove-from-companies.ts'

/** What this service does with the events of others. */
export function eventHandlers(deps: Deps): EventHandler[] {
  return [
    exactlyOnce(userUpdated, (user, change) => deps.employees.rename([user], change), { projection }),
    on(userDeleted, async ({ userId }) => {
      await deps.erasedUsers.note(userId)
      await removeFromCompanies(deps, userId)
    }),
  ]
}
