import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Days, Flag, Int, Name, PageIndex, PageSize, Prose, Self, Text, UserId } from '../param-types.ts'
import { Maybe, Nothing, PageVO } from '../result-types.ts'
import { Friends, NewFriend } from './entities.ts'

const keyword = Text({ default: '', trim: true, maxLength: 64, description: 'part of the nickname or the remark' })

/** Friends, and what a user notes about each of them (spec 03-friends.md). */
export const friends = contract('social', {
  addFriend: {
    path: '/friends/add',
    summary: { zh: '通过好友申请', en: 'Accept a request, or add somebody who asks for no consent' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound', 'BlacklistedByTarget', 'NoFriendRequest'],
  },
  deleteFriend: {
    path: '/friends/delete',
    summary: { zh: '删除好友', en: 'Delete a friend' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound', 'NotFriends', 'SystemAccountProtected'],
  },
  getFriend: {
    path: '/friends/get',
    summary: { zh: '获取与某人的关系', en: 'What the caller is to a user' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self(), toUserId: UserId() }),
    // No data when there is no row.
    result: Maybe(Friends),
    errors: ['CannotAddSelf', 'UserNotFound'],
  },
  listFriends: {
    path: '/friends/list',
    summary: { zh: '好友列表', en: 'Friends' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self(), keyword }),
    result: Type.Array(Friends),
  },
  pageFriends: {
    path: '/friends/page',
    summary: { zh: '分页好友列表', en: 'Friends, page by page' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      userId: Self(),
      keyword,
      status: Int({ default: 2, minimum: 0, maximum: 2, description: '0: 1 and 2' }),
      pageIndex: PageIndex(),
      pageSize: PageSize(10),
    }),
    // The list alone under API_PROFILE=spec.
    result: Type.Union([PageVO(Friends), Type.Array(Friends)]),
  },
  listFriendIds: {
    path: '/friends/friendsAndAttention',
    summary: { zh: '好友和关注的 userId', en: 'Ids of friends and followed users, or of blocked users' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self(), type: Type.Enum(['friendList', 'blackList'], { wire: 'text' }) }),
    result: Type.Array(Type.Integer()),
  },
  updateFriend: {
    path: '/friends/update',
    summary: { zh: '修改好友聊天记录保存时间', en: 'Change how long messages with a friend live' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId(), chatRecordTimeOut: Type.Optional(Days()) }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound', 'NotFriends'],
  },
  remarkFriend: {
    path: '/friends/remark',
    summary: { zh: '修改备注', en: 'Note a name and a description for a user' },
    auth: 'user',
    params: Type.Object({
      toUserId: UserId(),
      remarkName: Type.Optional(Name({ maxLength: 64, description: 'absent or empty clears it' })),
      describe: Type.Optional(Prose({ maxLength: 200, empty: 'blank-clears', description: 'one blank clears it' })),
    }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound'],
  },
  switchForFriend: {
    path: '/friends/update/OfflineNoPushMsg',
    summary: { zh: '好友消息免打扰、阅后即焚、置顶', en: 'Mute, burn after reading, or pin a friend' },
    auth: 'user',
    params: Type.Object({
      userId: Self(),
      toUserId: UserId(),
      offlineNoPushMsg: Flag({ description: 'the new value, whatever the type' }),
      type: Type.Enum([0, 1, 2], { wire: 'int', default: 0, description: '0 mute, 1 burn after reading, 2 pin' }),
    }),
    result: Friends,
    errors: ['CannotAddSelf', 'UserNotFound', 'NotFriends'],
  },
  listNewFriends: {
    path: '/friends/newFriend/list',
    summary: { zh: '新的朋友', en: 'Requests and answers' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self(), pageIndex: PageIndex(), pageSize: PageSize(10) }),
    result: Type.Array(NewFriend),
  },
  befriendSystemAccount: {
    path: '/friends/addAllFriendsSys',
    summary: { zh: '添加系统号为好友', en: 'Befriend a system or public account' },
    auth: { anyOf: ['user', { role: 6 }] },
    params: Type.Object({ toUserId: UserId({ default: 10_000 }) }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound'],
  },
})
