import type { MemberState, Person, RoomState, StandingMember } from '@im/contracts/room'
import type { MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'

/** A room as events and other services know it. */
export function roomState(room: RoomDocument): RoomState {
  const { _id: roomId, jid, name, userId: ownerId, s, talkTime, maxUserSize, chatRecordTimeOut } = room
  const { isAttritionNotice, showRead, isLook, isNeedVerify, showMember } = room
  const { allowSendCard, allowInviteFriend, allowUploadFile, allowConference, allowSpeakCourse } = room
  return {
    ...{ roomId, jid, name, ownerId, locked: s === -1 ? 1 : 0, talkTime },
    ...{ isAttritionNotice, showRead, isLook, isNeedVerify, showMember },
    ...{ allowSendCard, allowInviteFriend, allowUploadFile, allowConference, allowSpeakCourse },
    ...{ maxUserSize, chatRecordTimeOut },
  }
}

export function memberState({ userId, nickname: name, role, talkTime, joinedAt }: MemberDocument): MemberState {
  return { userId, name, role, talkTime, joinedAt: joinedAt / 1000 }
}

export const standingMember = (member: MemberDocument): StandingMember => ({
  ...memberState(member),
  since: member.joinedAt,
})

export const personOf = ({ userId, nickname }: Pick<MemberDocument, 'userId' | 'nickname'>): Person => ({
  userId,
  name: nickname || String(userId),
})
