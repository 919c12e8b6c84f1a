import type { Handlers } from '@im/contracts'
import { userPresence } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { listUserCounts } from './list-user-counts.ts'

const handlers: Handlers<typeof userPresence, Deps> = {
  async goOffline({ users, now }, { caller }) {
    await users.setOfflineTime(caller.userId, Math.floor(now() / 1000))
  },

  listUserCounts: (deps, { params }) => listUserCounts(deps, params),
}

export const presenceRoutes = bindHandlers(userPresence, handlers)
