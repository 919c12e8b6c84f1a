import type { Call, Handlers } from '@im/contracts'
import { internalCards, userSearch } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { findNearby } from './find-nearby.ts'
import type { Viewing } from './find-users.ts'
import { getCards } from './get-cards.ts'
import { listNewUsers } from './list-new-users.ts'
import { searchUsers } from './search-users.ts'

const viewingOf = ({ caller, deadline, signal }: Pick<Call, 'deadline' | 'signal'> & { caller: { userId: number } }) =>
  ({ viewerId: caller.userId, deadline, signal }) satisfies Viewing

const handlers: Handlers<typeof userSearch, Deps> = {
  searchUsers: (deps, call) => searchUsers(deps, call.params, viewingOf(call)),
  findNearby: (deps, call) => findNearby(deps, call.params, viewingOf(call)),
  listNewUsers: (deps, call) => listNewUsers(deps, call.params, viewingOf(call)),
}

const internalHandlers: Handlers<typeof internalCards, Deps> = {
  getCards: async (deps, { params }) => ({ cards: await getCards(deps, params.userIds) }),
}

export const searchRoutes = [...bindHandlers(userSearch, handlers), ...bindHandlers(internalCards, internalHandlers)]
