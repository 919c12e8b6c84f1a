import { Type } from 'typebox'
import { FlagResult, LongIdResult, UnixSeconds } from '../result-types.ts'

/** Entities of spec 03-friends.md, 08-public-accounts.md and 11-address-book.md. */

/** One side of what two users are to each other. `userId` owns the row. */
export const Friends = Type.Object({
  id: Type.String(),
  userId: Type.Integer(),
  toUserId: Type.Integer(),
  toNickname: Type.String(),
  toUserType: Type.Integer({ description: '2 public account' }),
  remarkName: Type.String(),
  describe: Type.String(),
  status: Type.Integer({ minimum: 0, maximum: 2, description: '0 none, 1 follows or waits for an answer, 2 friends' }),
  blacklist: FlagResult({ description: 'the owner blocked the other' }),
  isBeenBlack: FlagResult({ description: 'the other blocked the owner' }),
  createTime: UnixSeconds(),
  modifyTime: UnixSeconds(),
  lastTalkTime: UnixSeconds({ description: 'seconds, 0 never' }),
  msgNum: Type.Integer({ description: 'unread messages' }),
  companyId: Type.Integer(),
  chatRecordTimeOut: Type.Number({ description: 'days, -1 for ever' }),
  offlineNoPushMsg: FlagResult({ description: 'muted' }),
  isOpenSnapchat: FlagResult({ description: 'messages burn after reading' }),
  isOpenTopChat: FlagResult({ description: 'pinned' }),
  openTopChatTime: UnixSeconds({ description: 'seconds, 0 not pinned' }),
  fromAddType: Type.Integer({
    description: '0 system, 1 QR code, 2 card, 3 room, 4 telephone, 5 nickname, 6 other',
  }),
  groupId: Type.Integer(),
  groupName: Type.String(),
  talkTime: Type.Integer(),
})

/** A follower of the caller. */
export const Fans = Type.Object({
  userId: Type.Integer({ description: 'the followed' }),
  toUserId: Type.Integer({ description: 'the fan' }),
  toNickname: Type.String(),
  toUserType: Type.Integer(),
  time: UnixSeconds(),
  createTime: UnixSeconds(),
  status: Type.Integer({ description: "the caller's own row about the fan" }),
})

/** The last thing that two users told each other about being friends. */
export const NewFriend = Type.Object({
  userId: Type.Integer(),
  toUserId: Type.Integer(),
  toNickname: Type.String(),
  nickname: Type.String({ description: 'as toNickname' }),
  from: Type.Integer({ description: 'who told it' }),
  direction: Type.Integer({ description: '0 sent, 1 received' }),
  type: Type.Integer({ description: 'type code of its message, 500..515' }),
  content: Type.String(),
  status: Type.Integer({ description: 'of the relation now' }),
  createTime: UnixSeconds(),
  modifyTime: UnixSeconds(),
})

/** A label and the friends that have it. */
export const FriendGroup = Type.Object({
  groupId: Type.String(),
  groupName: Type.String(),
  userId: Type.Integer(),
  userIdList: Type.Array(Type.Integer()),
})

export const AddressBook = Type.Object({
  id: Type.String(),
  telephone: Type.String({ description: 'of the owner: area code + number' }),
  userId: Type.Integer({ description: 'the owner' }),
  toTelephone: Type.String({ description: 'area code + number' }),
  toUserId: Type.Integer({ description: '0: not registered' }),
  toUserName: Type.String(),
  toRemarkName: Type.String(),
  registerEd: FlagResult(),
  registerTime: UnixSeconds(),
  status: Type.Integer({ description: '0 no friend, 1 friend by the address book, 2 friend before' }),
})

/** A menu of a public account; its ids have 64 bits. Menus have two levels. */
const menuFields = {
  id: LongIdResult(),
  parentId: LongIdResult(),
  userId: Type.Integer({ description: 'the account' }),
  name: Type.String(),
  url: Type.String(),
  index: Type.Integer(),
  desc: Type.Optional(Type.String()),
  menuId: Type.Optional(Type.String({ description: 'command that is sent instead of opening url' })),
}

export const Menu = Type.Object({
  ...menuFields,
  menuList: Type.Array(Type.Object({ ...menuFields, menuList: Type.Array(Type.Never()) })),
})
