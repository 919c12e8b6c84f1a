import { pickFields } from '@im/contracts'
import { type Room, roomFields } from '@im/contracts/room'
import type { Static } from 'typebox'
import type { MemberDocument } from '../documents/member-document.ts'
import type { NoticeDocument, RoomDocument } from '../documents/room-document.ts'
import { sizeFor } from '../documents/visibility.ts'
import { memberView } from '../members/member-view.ts'
import { noticeView } from '../notices/notice-view.ts'

type RoomView = Static<typeof Room>

const noNotice = { time: 0, modifyTime: 0 }

/** What everybody sees of a room. `ownerName` is the name of its owner. */
export function roomCard(room: RoomDocument, ownerName: string): RoomView {
  const { _id: id, jid, name, desc, subject, category, maxUserSize, isLook, isNeedVerify, showMember } = room
  const { userId, createTime, s } = room
  const userSize = sizeFor(room, undefined)
  const shown = { id, jid, name, desc, subject, category, userSize, maxUserSize, isLook, isNeedVerify, showMember }
  return { ...shown, userId, nickname: ownerName, createTime, s, notice: noNotice, notices: [], members: [] }
}

/** A room as one of its members sees it. */
export function roomView(
  room: RoomDocument,
  ownerName: string,
  own: MemberDocument,
  more: { members?: readonly MemberDocument[]; notices?: readonly NoticeDocument[] } = {},
): RoomView {
  const { call, videoMeetingNo, modifyTime, modifier, talkTime } = room
  return {
    ...roomCard(room, ownerName),
    ...pickFields(roomFields, room),
    ...{ call, videoMeetingNo, modifyTime, modifier, talkTime },
    userSize: sizeFor(room, own),
    notice: room.notice ? noticeView(room.notice) : noNotice,
    notices: (more.notices ?? []).map(noticeView),
    members: (more.members ?? []).map((member) => memberView(member, room, own)),
    member: memberView(own, room, own),
  }
}
