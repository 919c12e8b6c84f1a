import type { RoomMember } from '@im/contracts/room'
import type { Static } from 'typebox'
import { isOwner, type MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'

/** A member as the viewer, another member, may see them. Settings of others are their own, and remarks the owner's. */
export function memberView(
  member: MemberDocument,
  { call, videoMeetingNo }: Pick<RoomDocument, 'call' | 'videoMeetingNo'>,
  viewer: MemberDocument,
): Static<typeof RoomMember> {
  const isSelf = member.userId === viewer.userId
  const { userId, nickname, role, sub, talkTime, createTime, modifyTime } = member
  return {
    userId,
    nickname,
    remarkName: isOwner(viewer) ? member.remarkName : undefined,
    role,
    sub,
    call,
    videoMeetingNo,
    offlineNoPushMsg: isSelf ? member.offlineNoPushMsg : 0,
    isOpenTopChat: isSelf && member.openTopChatTime > 0 ? 1 : 0,
    openTopChatTime: isSelf ? member.openTopChatTime : 0,
    talkTime,
    active: createTime,
    createTime,
    modifyTime,
  }
}
