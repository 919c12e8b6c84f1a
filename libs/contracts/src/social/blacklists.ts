import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { PageIndex, PageSizeOrAll, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Friends } from './entities.ts'

/** Users whose messages a user does not want (spec 03-friends.md). */
export const blacklists = contract('social', {
  blockUser: {
    path: '/friends/blacklist/add',
    summary: { zh: '加入黑名单', en: 'Block a user' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound', 'AlreadyOnBlacklist', 'SystemAccountProtected'],
  },
  unblockUser: {
    path: '/friends/blacklist/delete',
    summary: { zh: '移出黑名单', en: 'Unblock a user' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    result: Friends,
    errors: ['CannotAddSelf', 'UserNotFound', 'NotOnBlacklist'],
  },
  listBlocked: {
    path: '/friends/blacklist',
    summary: { zh: '黑名单列表', en: 'Blocked users' },
    auth: 'user',
    safe: true,
    params: Type.Object({ pageIndex: PageIndex(), pageSize: PageSizeOrAll() }),
    result: Type.Array(Friends),
  },
})
