import { type Handlers, pageOf } from '@im/contracts'
import { friends } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { listNewFriends } from '../new-friends/list-new-friends.ts'
import { demandUser, refuseSelf } from '../people/friend-rules.ts'
import { showRows, viewOf } from '../relations/show-rows.ts'
import { addFriend } from './add-friend.ts'
import { befriendAccount } from './befriend-account.ts'
import { changeOwnRow, noteAbout } from './change-own-row.ts'
import { deleteFriend } from './delete-friend.ts'
import { listFriends, writeFriends } from './list-friends.ts'
import { switchFields } from './switch-fields.ts'

const superAdmin = 6

const handlers: Handlers<typeof friends, Deps> = {
  async addFriend(deps, { caller, params }) {
    await addFriend(deps, caller.userId, params.toUserId)
  },

  async deleteFriend(deps, { caller, params }) {
    await deleteFriend(deps, caller.userId, params.toUserId)
  },

  async getFriend(deps, { caller: { userId }, params: { toUserId } }) {
    refuseSelf(userId, toUserId)
    const row = await deps.relations.byId(userId, toUserId)
    if (!row) await demandUser(deps, toUserId)
    return row && (await showRows(deps, userId, [row]))[0]
  },

  listFriends: (deps, { caller: { userId }, params: { keyword } }) =>
    keyword ? listFriends(deps, userId, { keyword, status: 2 }) : writeFriends(deps, userId),

  async pageFriends(deps, { caller, params: { keyword, status, pageIndex, pageSize } }) {
    const all = await listFriends(deps, caller.userId, { keyword, status: status as 0 | 1 | 2 })
    const rows = all.slice(pageIndex * pageSize, (pageIndex + 1) * pageSize)
    return deps.config.apiProfile === 'spec' ? rows : pageOf(rows, all.length, pageIndex, pageSize)
  },

  async listFriendIds({ relations, keptRows, names }, { caller: { userId }, params }) {
    const isBlackList = params.type === 'blackList'
    const rows = isBlackList ? await relations.blockedBy(userId) : await keptRows.unblockedBy(userId)
    const ids = rows.map(({ toUserId }) => toUserId)
    const known = await names.of(ids)
    return ids.filter((toUserId) => !known.get(toUserId)?.gone)
  },

  async updateFriend(deps, { caller, params: { toUserId, chatRecordTimeOut } }) {
    await changeOwnRow(deps, caller.userId, toUserId, chatRecordTimeOut === undefined ? {} : { chatRecordTimeOut })
  },

  async remarkFriend(deps, { caller, params: { toUserId, remarkName = '', describe } }) {
    await noteAbout(deps, caller.userId, toUserId, { remarkName, ...(describe === undefined ? {} : { describe }) })
  },

  async switchForFriend(deps, { caller: { userId }, params: { toUserId, type, offlineNoPushMsg } }) {
    const fields = switchFields(type, offlineNoPushMsg, deps.now())
    const row = await changeOwnRow(deps, userId, toUserId, fields)
    const talked = await deps.talks.of(userId, [toUserId])
    return viewOf({ row, name: await deps.names.ofOne(toUserId), talk: talked.get(toUserId) })
  },

  listNewFriends: (deps, { caller, params }) => listNewFriends(deps, caller.userId, params),

  async befriendSystemAccount(deps, { caller, params }) {
    const isSuperAdmin = (caller.role ?? 0) >= superAdmin
    await befriendAccount(deps, { userId: caller.userId, isSuperAdmin }, params.toUserId)
  },
}

export const friendRoutes = bindHandlers(friends, handlers)
