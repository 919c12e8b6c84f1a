import type { Handlers } from '@im/contracts'
import { internalNewcomers } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { welcomeUser } from './welcome-users.ts'

const handlers: Handlers<typeof internalNewcomers, Deps> = {
  async welcomeUser(deps, { params: { defaultFriends = [], ...newcomer } }) {
    await deps.outbox.commit((change) => welcomeUser(deps, { ...newcomer, defaultFriends }, change))
    const [counts] = await deps.relations.countsOf([newcomer.userId])
    return counts!
  },
}

export const internalNewcomerRoutes = bindHandlers(internalNewcomers, handlers)
