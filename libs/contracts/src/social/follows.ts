import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ids, Int, PageIndex, PageSize, Self, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Fans, Friends } from './entities.ts'

/** Requests to become friends: so many a user may make in a day (transport.md §8). */
export const friendRequestLimit = { group: 'friend-requests', max: 100, seconds: 86_400 } as const

/** How a call of `follow` ends, as `data.type` (and as resultCode under API_PROFILE=spec). */
export const followOutcomes = {
  followed: { type: 1, text: { zh: '关注成功，已关注目标用户', en: 'Followed' } },
  befriended: { type: 2, text: { zh: '关注成功，已互为好友', en: 'You are now friends' } },
  followedBefore: { type: 3, text: { zh: '关注失败，已关注目标用户', en: 'You already follow this user' } },
  friendsBefore: { type: 4, text: { zh: '关注失败，已互为好友', en: 'You are already friends' } },
} as const

export type FollowOutcome = keyof typeof followOutcomes

/** Following others, which is also how a user asks to become their friend (spec 03-friends.md). */
export const follows = contract('social', {
  follow: {
    path: '/friends/attention/add',
    summary: { zh: '加关注（申请加好友）', en: 'Follow a user, or ask to become friends' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId(), fromAddType: Int({ default: 0, minimum: 0, maximum: 6 }) }),
    result: Type.Object({
      type: Type.Integer({ description: '1 followed, 2 friends now, 3 followed before, 4 friends before' }),
      fromAddType: Type.Integer(),
    }),
    errors: ['CannotAddSelf', 'UserNotFound', 'BlacklistedByTarget', 'FollowRefused', 'AddWayNotAllowed'],
    limits: [{ by: 'user', ...friendRequestLimit }],
  },
  followMany: {
    path: '/friends/attention/batchAdd',
    summary: { zh: '批量加好友', en: 'Ask many users to become friends' },
    auth: 'user',
    timeoutMs: 30_000,
    params: Type.Object({ toUserIds: Ids() }),
    result: Nothing,
  },
  unfollow: {
    path: '/friends/attention/delete',
    summary: { zh: '取消关注', en: 'Stop following a user' },
    auth: 'user',
    params: Type.Object({ toUserId: UserId() }),
    result: Nothing,
    errors: ['CannotAddSelf', 'UserNotFound', 'NotFriends', 'SystemAccountProtected'],
  },
  listFans: {
    path: '/friends/fans/list',
    summary: { zh: '粉丝列表', en: 'Followers' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self(), pageIndex: PageIndex(), pageSize: PageSize(10) }),
    result: Type.Array(Fans),
  },
  listFollowed: {
    path: '/friends/attention/list',
    summary: { zh: '关注列表', en: 'Followed users and friends' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      userId: Self(),
      status: Int({ default: 0, minimum: 0, maximum: 2, description: '0: 1 and 2, and blocked users' }),
    }),
    result: Type.Array(Friends),
  },
})
