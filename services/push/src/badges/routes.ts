import type { Handlers } from '@im/contracts'
import { badges, internalBadges } from '@im/contracts/push'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof badges, Deps> = {
  setBadge: ({ badges }, { caller, params }) => badges.set(caller.userId, params.num),
}

const internalHandlers: Handlers<typeof internalBadges, Deps> = {
  async getBadge({ badges }, { params: { userId } }) {
    return { count: (await badges.of([userId])).get(userId) ?? 0 }
  },
}

export const badgeRoutes = [...bindHandlers(badges, handlers), ...bindHandlers(internalBadges, internalHandlers)]
