import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds, UnixSeconds } from '../result-types.ts'

const userId = Type.Integer({ minimum: 1 })
const status = Type.Integer({ description: 'after the change: 0 none, 1 follows or waits, 2 friends' })

/** The thing that events about two users are about: changes of one pair stay in order. */
export const pairOf = (a: number, b: number): string => (a < b ? `${a}:${b}` : `${b}:${a}`)

/** One for each change, whoever made it; both rows are as the event says. Also broadcast before the change is answered. */
export const friendChanged = event(
  'friend.changed.v1',
  'What two users are to each other changed',
  Type.Object({
    userId: { ...userId, description: 'who changed it' },
    toUserId: userId,
    status,
    toStatus: { ...status, description: 'of the row of toUserId' },
    how: Type.String({ description: 'followed, befriended, unfollowed, deleted' }),
    at: Milliseconds(),
  }),
)

/** Also broadcast before the change is answered. */
export const blacklistChanged = event(
  'blacklist.changed.v1',
  'A user blocked another, or ended that',
  Type.Object({ userId, toUserId: userId, blocked: Type.Boolean(), at: Milliseconds() }),
)

export const friendRowChanged = event(
  'friend.row-changed.v1',
  'A user changed what only their own row says about another: remark, description, switches, life of messages',
  Type.Object({
    userId: { ...userId, description: 'the owner' },
    toUserId: userId,
    remarkName: Type.String(),
    offlineNoPushMsg: Type.Integer(),
    isOpenSnapchat: Type.Integer(),
    isOpenTopChat: Type.Integer(),
    chatRecordTimeOut: Type.Number(),
    at: Milliseconds(),
  }),
)

export const friendRequested = event(
  'friend.requested.v1',
  'A user asked many to become friends at once: the server sends each the request (type 500) in their name',
  Type.Object({ userId, toUserId: userId, at: Milliseconds() }),
)

export const fanRemoved = event(
  'friend.fan-removed.v1',
  'A public account removed a fan: the server tells them (type 505) in its name',
  Type.Object({ userId: { ...userId, description: 'the account' }, toUserId: userId, at: Milliseconds() }),
)

/** One for each 500 friends: each is told. */
export const userErased = event(
  'friend.user-erased.v1',
  'A deleted user was taken out of the lists of these friends',
  Type.Object({ userId, friends: Type.Array(userId), at: Milliseconds() }),
)

/** One for each 500 owners: each is told. */
export const contactRegistered = event(
  'friend.contact-registered.v1',
  'A number that these users have in their address books was registered',
  Type.Object({
    userId: { ...userId, description: 'who registered' },
    nickname: Type.String(),
    telephone: Type.String({ description: 'area code + number' }),
    registeredAt: UnixSeconds(),
    owners: Type.Array(Type.Object({ userId, telephone: Type.String() })),
    at: Milliseconds(),
  }),
)

export const labelChanged = event(
  'label.changed.v1',
  'A user changed their labels',
  Type.Object({ userId, at: Milliseconds() }),
)
