import type { Handlers } from '@im/contracts'
import { badges, internalBadges } from '@im/contracts/push'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { goneAmong } from '../people/follow-users.ts'

const handlers: Handlers<typeof badges, Deps> = {
  async setBadge(deps, { caller: { userId }, params }) {
    await deps.badges.set(userId, params.num)
    // Who was deleted while the call was under way has no number any more.
    if ((await goneAmong(deps, [userId])).size) await deps.badges.removeUser(userId)
  },
}

const internalHandlers: Handlers<typeof internalBadges, Deps> = {
  async getBadge({ badges }, { params: { userId } }) {
    return { count: (await badges.of([userId])).get(userId) ?? 0 }
  },
}

export const badgeRoutes = [...bindHandlers(badges, handlers), ...bindHandlers(internalBadges, internalHandlers)]
