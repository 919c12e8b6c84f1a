import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, List, PageSize, Text, UserId } from '../param-types.ts'
import { replayOf } from '../replay.ts'
import { FlagResult } from '../result-types.ts'
import { Friends } from './entities.ts'

const side = Type.Object({
  status: Type.Integer({ minimum: 0, maximum: 2 }),
  hasBlocked: Type.Boolean({ description: 'the owner of the row blocked the other' }),
})

const countsFields = {
  attCount: Type.Integer({ description: 'followed and friends' }),
  fansCount: Type.Integer({ description: 'followers' }),
  friendsCount: Type.Integer(),
}

/** Asked by other services. The rows they get have no unread counts: these are for lists of the owner alone. */
export const internalRelations = contract('social', {
  getRelations: {
    path: '/internal/relations/of',
    summary: { zh: '用户与多人的关系', en: 'What a user and others are to each other' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      viewerId: UserId(),
      userIds: List({ item: UserId(), maxItems: 1000 }),
    }),
    result: Type.Object({
      relations: Type.Array(
        Type.Object({
          userId: Type.Integer(),
          friends: Type.Optional(Friends),
          blockedBy: FlagResult({ description: 'this user blocked the viewer' }),
          contact: FlagResult({ description: 'the viewer is in the address book of this user' }),
        }),
        { description: 'one for each id' },
      ),
    }),
  },
  countRelations: {
    path: '/internal/relations/counts',
    summary: { zh: '多个用户的好友数与粉丝数', en: 'How many friends and followers users have' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 500 }) }),
    result: Type.Object({
      counts: Type.Array(Type.Object({ userId: Type.Integer(), ...countsFields }), {
        description: 'one for each id; each counts to 100,000',
      }),
    }),
  },
  getStandings: {
    path: '/internal/relations/standings',
    summary: { zh: '多对用户之间的关系', en: 'How pairs of users stand to each other' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      pairs: List({
        item: Text({ pattern: '^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}$' }),
        maxItems: 500,
        description: 'both userIds, the lower one first',
      }),
    }),
    result: Type.Object({
      standings: Type.Array(Type.Object({ pair: Type.String(), low: Type.Optional(side), high: Type.Optional(side) }), {
        description: 'one for each pair; a row is absent where there is none',
      }),
    }),
  },
  pageFans: {
    path: '/internal/relations/fans',
    summary: { zh: '公众号粉丝', en: 'Who follows an account and may be written to, page by page' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      account: UserId(),
      after: Int({ default: 0, minimum: 0, description: 'the last userId of the page before' }),
      until: Int({ minimum: 0, description: 'seconds: only who followed by then' }),
      pageSize: PageSize(500),
    }),
    result: Type.Object({
      userIds: Type.Array(Type.Integer(), { description: 'ascending, without those who or whom the account blocked' }),
      isAccount: FlagResult({ description: '0: there is no such public account any more' }),
    }),
  },
  pageFriendIds: {
    path: '/internal/relations/friends',
    summary: { zh: '好友的 userId', en: 'Ids of all friends of a user, page by page' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      userId: UserId(),
      after: Type.Optional(UserId({ description: 'the last id of the page before' })),
      pageSize: PageSize(1000),
    }),
    result: Type.Object({ userIds: Type.Array(Type.Integer(), { description: 'ascending' }) }),
  },
})

const ownRow = Type.Object({
  remarkName: Type.String(),
  offlineNoPushMsg: FlagResult({ description: '1: no push notifications about the other' }),
})

/** What other services keep of two users: what each one's own row says about the other. The aggregate is the pair. */
export const RelationRow = Type.Object({
  low: Type.Integer(),
  high: Type.Integer(),
  ofLow: Type.Optional(ownRow),
  ofHigh: Type.Optional(ownRow),
})

/** Asked by the user service before it answers a registration. */
export const internalNewcomers = contract('social', {
  welcomeUser: {
    path: '/internal/newcomers/welcome',
    summary: { zh: '新用户的初始好友', en: 'Make a new user known, with the friends whom everybody begins with' },
    auth: 'internal',
    params: Type.Object({
      userId: UserId(),
      nickname: Text(),
      userType: Int(),
      defaultFriends: Type.Optional(List({ item: UserId(), maxItems: 1000 })),
    }),
    result: Type.Object(countsFields),
  },
})

/** Asked by services that keep something of each relation, once, before they follow the events. */
export const replayedRelations = contract('social', {
  pageRelations: {
    path: '/internal/relations/page',
    summary: { zh: '全部关系', en: 'What all users say about others, page by page' },
    ...replayOf(RelationRow),
  },
})
