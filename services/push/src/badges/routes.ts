import type { Handlers } from '@im/contracts'
import { badges } from '@im/contracts/push'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof badges, Deps> = {
  setBadge: ({ badges }, { caller, params }) => badges.set(caller.userId, params.num),
}

export const badgeRoutes = bindHandlers(badges, handlers)
