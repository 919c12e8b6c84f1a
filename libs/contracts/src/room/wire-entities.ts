import { Type } from 'typebox'
import { typesOf } from '../fields.ts'
import { FlagResult, UnixSeconds } from '../result-types.ts'
import { roomFields } from './room-fields.ts'

/** Entities as apps get them (spec 04-room.md). `Type.Optional` = absent when unset or when the viewer may not see it. */

export const RoomMember = Type.Object({
  userId: Type.Integer(),
  nickname: Type.String(),
  remarkName: Type.Optional(Type.String()),
  role: Type.Integer({ description: '1 owner, 2 admin, 3 member, 4 invisible, 5 guardian' }),
  sub: FlagResult(),
  call: Type.String(),
  videoMeetingNo: Type.String(),
  offlineNoPushMsg: FlagResult({ description: '1: no offline push; 0 in records of others' }),
  isOpenTopChat: FlagResult({ description: '1: pinned; 0 in records of others' }),
  openTopChatTime: UnixSeconds({ description: '0 in records of others' }),
  talkTime: UnixSeconds({ description: 'muted until then; 0: not muted' }),
  active: UnixSeconds(),
  createTime: UnixSeconds({ description: 'when they joined' }),
  modifyTime: UnixSeconds(),
})

export const RoomNotice = Type.Object({
  id: Type.String(),
  roomId: Type.String(),
  text: Type.String(),
  userId: Type.Integer(),
  nickname: Type.String(),
  time: UnixSeconds(),
  modifyTime: UnixSeconds(),
})

const CurrentNotice = Type.Object({
  ...Type.Partial(RoomNotice).properties,
  time: UnixSeconds({ description: '0: there is none' }),
  modifyTime: UnixSeconds(),
})

const all = typesOf(roomFields)

/** What everybody sees of a room. */
const card = {
  id: Type.String(),
  jid: Type.String(),
  name: all.name,
  desc: all.desc,
  subject: all.subject,
  category: all.category,
  userSize: Type.Integer(),
  maxUserSize: all.maxUserSize,
  isLook: all.isLook,
  isNeedVerify: all.isNeedVerify,
  showMember: all.showMember,
  userId: Type.Integer({ description: 'owner' }),
  nickname: Type.String({ description: 'of the owner' }),
  createTime: UnixSeconds(),
  s: Type.Integer({ description: '1 normal, -1 locked' }),
  notice: CurrentNotice,
  notices: Type.Array(RoomNotice, { description: 'newest first' }),
  members: Type.Array(RoomMember),
}

/** Members see all fields, others those of the card. */
export const Room = Type.Object({
  ...Type.Partial(
    Type.Object({
      ...all,
      call: Type.String({ description: 'number for audio conferences' }),
      videoMeetingNo: Type.String({ description: 'number for video conferences' }),
      modifyTime: UnixSeconds(),
      modifier: Type.Integer(),
      talkTime: UnixSeconds({ description: 'nobody but the owner and admins may speak until then; 0: everybody may' }),
      member: RoomMember,
    }),
  ).properties,
  ...card,
})

export const RoomShare = Type.Object({
  shareId: Type.String(),
  roomId: Type.String(),
  name: Type.String(),
  url: Type.String(),
  userId: Type.Integer(),
  nickname: Type.String(),
  size: Type.Integer({ description: 'bytes' }),
  time: UnixSeconds(),
  type: Type.Integer({
    description: '1 image, 2 audio, 3 video, 4 ppt, 5 xls, 6 doc, 7 zip, 8 txt, 9 other, 10 pdf',
  }),
  state: Type.Integer(),
})
