import type { Handlers } from '@im/contracts'
import { blacklists } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { showRows, viewOf } from '../relations/show-rows.ts'
import { blockUser } from './block-user.ts'
import { unblockUser } from './unblock-user.ts'

const handlers: Handlers<typeof blacklists, Deps> = {
  async blockUser(deps, { caller, params }) {
    await blockUser(deps, caller.userId, params.toUserId)
  },

  async unblockUser(deps, { caller: { userId }, params: { toUserId } }) {
    const row = await unblockUser(deps, userId, toUserId)
    const [name, talked] = await Promise.all([deps.names.ofOne(toUserId), deps.talks.of(userId, [toUserId])])
    return viewOf({ row, name, talk: talked.get(toUserId) })
  },

  async listBlocked(deps, { caller: { userId }, params: { pageIndex, pageSize } }) {
    const page = pageSize === undefined ? undefined : { pageIndex, pageSize }
    return showRows(deps, userId, await deps.relations.blockedBy(userId, page))
  },
}

export const blacklistRoutes = bindHandlers(blacklists, handlers)
