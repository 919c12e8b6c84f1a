import type { Payload } from '@im/contracts'
import type {
  MemberState,
  memberChanged,
  memberGone,
  membersJoined,
  noticeEdited,
  noticePublished,
  Person,
  RoomState,
  roomChanged,
  roomDissolved,
  roomTransferred,
  shareAdded,
  shareDeleted,
  waitingRoomChanged,
} from '@im/contracts/room'

/**
 * A message that apps get about a room (spec xmpp.md §6.4). Everything is in it but who is told under which id: that is the
 * same for all.
 */
export interface RoomNotice {
  type: number
  /** Tells it from other notices of the same event. */
  key: string
  by: Person
  /** The member it is about. */
  to?: Person
  content: string
  /** `objectId` where it is not the jid, `fileName` where it is not the id of the room. */
  objectId?: string
  fileName?: string
  fileSize?: number
  other?: string
  /** Who gets it as chat, present or not. */
  chatTo: readonly number[] | 'all members'
  /** All who have joined get it, and it stands in the history. */
  inRoom: boolean
}

const flag = (type: number, field: keyof RoomState) => ({ type, content: (room: RoomState) => String(room[field]) })

/** Apps read days as a decimal number. */
const daysText = (days: number) => (Number.isInteger(days) ? days.toFixed(1) : String(days))

/** Changed fields of a room that apps are told of. */
const roomFields: Record<string, { type: number; content: (room: RoomState) => string }> = {
  name: { type: 902, content: ({ name }) => name },
  showRead: flag(915, 'showRead'),
  isNeedVerify: flag(916, 'isNeedVerify'),
  isLook: flag(917, 'isLook'),
  showMember: flag(918, 'showMember'),
  allowSendCard: flag(919, 'allowSendCard'),
  talkTime: flag(920, 'talkTime'),
  allowInviteFriend: flag(921, 'allowInviteFriend'),
  allowUploadFile: flag(922, 'allowUploadFile'),
  allowConference: flag(923, 'allowConference'),
  allowSpeakCourse: flag(924, 'allowSpeakCourse'),
  chatRecordTimeOut: { type: 932, content: ({ chatRecordTimeOut }) => daysText(chatRecordTimeOut) },
}

export const ofRoomChange = ({ room, by, changed }: Payload<typeof roomChanged>): RoomNotice[] =>
  changed.flatMap((field): RoomNotice[] => {
    if (field === 'locked') {
      const content = room.locked ? '-1' : '1'
      return [{ type: 931, key: field, by, content, chatTo: 'all members', inRoom: false }]
    }
    const told = roomFields[field]
    return told ? [{ type: told.type, key: field, by, content: told.content(room), chatTo: [], inRoom: true }] : []
  })

export const ofDissolution = ({ room, by, memberIds }: Payload<typeof roomDissolved>): RoomNotice[] => [
  { type: 903, key: '', by, content: room.name, chatTo: memberIds, inRoom: false },
]

export const ofTransfer = ({ by, to }: Payload<typeof roomTransferred>): RoomNotice[] => [
  { type: 925, key: '', by, to, content: '', chatTo: [to.userId], inRoom: true },
]

export const ofJoins = ({ room, by, members }: Payload<typeof membersJoined>): RoomNotice[] =>
  members.map((member) => ({
    ...{ type: 907, key: String(member.userId), by, to: member, content: room.name },
    ...{ fileSize: room.showRead, other: settingsOf(room), ...audienceOf(room, member) },
  }))

/** What a new member's app has to know of the room at once. */
const settingsOf = (room: RoomState) =>
  JSON.stringify({
    showRead: room.showRead,
    isLook: room.isLook,
    isNeedVerify: room.isNeedVerify,
    showMember: room.showMember,
    allowSendCard: room.allowSendCard,
    allowInviteFriend: room.allowInviteFriend,
    allowUploadFile: room.allowUploadFile,
    allowConference: room.allowConference,
    allowSpeakCourse: room.allowSpeakCourse,
    maxUserSize: room.maxUserSize,
    chatRecordTimeOut: room.chatRecordTimeOut,
    talkTime: room.talkTime,
  })

export function ofLeaving({ room, by, member }: Payload<typeof memberGone>): RoomNotice[] {
  const { chatTo, inRoom } = audienceOf(room, member)
  const isTold = inRoom && room.isAttritionNotice === 1
  return [{ type: 904, key: '', by, to: member, content: room.name, chatTo, inRoom: isTold }]
}

const [admin, invisible, guardian] = [2, 4, 5]

const isHidden = ({ role }: MemberState) => role === invisible || role === guardian

/** Who is told what happened to a member: of hidden ones only they and the owner know. */
const audienceOf = ({ ownerId }: RoomState, member: MemberState): Pick<RoomNotice, 'chatTo' | 'inRoom'> =>
  isHidden(member)
    ? { chatTo: [...new Set([member.userId, ownerId])], inRoom: false }
    : { chatTo: [member.userId], inRoom: true }

export function ofMemberChange({ room, by, member, roleBefore, changed }: Payload<typeof memberChanged>): RoomNotice[] {
  const { role, userId } = member
  const notices: RoomNotice[] = []
  const tell = (notice: Pick<RoomNotice, 'type' | 'content' | 'chatTo' | 'inRoom'>) =>
    notices.push({ key: String(notice.type), by, to: member, ...notice })
  const audience = audienceOf(room, member)
  if (changed.includes('nickname'))
    tell({ type: 901, content: member.name, ...audience, ...(audience.inRoom ? { chatTo: [] } : {}) })
  if (changed.includes('talkTime')) tell({ type: 906, content: String(member.talkTime), ...audience })
  if (changed.includes('role')) {
    if (role === admin || roleBefore === admin)
      tell({ type: 913, content: role === admin ? '1' : '0', chatTo: [userId], inRoom: true })
    const shown = { [invisible]: ['1', '-1'], [guardian]: ['2', '0'] } as Record<number, [string, string]>
    const content = shown[role]?.[0] ?? shown[roleBefore]?.[1]
    if (content !== undefined) tell({ type: 930, content, chatTo: [...new Set([userId, room.ownerId])], inRoom: false })
  }
  return notices
}

export const ofNotice = ({ by, text }: Payload<typeof noticePublished>): RoomNotice[] => [
  { type: 905, key: '', by, content: text, chatTo: [], inRoom: true },
]

export const ofNoticeEdit = ({ by, text }: Payload<typeof noticeEdited>): RoomNotice[] => [
  { type: 934, key: '', by, content: text, chatTo: [], inRoom: true },
]

const ofShare =
  (type: number) =>
  ({ by, shareId, name }: Payload<typeof shareAdded | typeof shareDeleted>): RoomNotice[] => [
    { type, key: '', by, content: shareId, fileName: name, chatTo: [], inRoom: true },
  ]

export const ofShareAdded = ofShare(401)
export const ofShareDeleted = ofShare(402)

/** One for each of the others, whom it names: who waits is no member yet. */
export const ofWaiting = ({ by, userIds, jid }: Payload<typeof waitingRoomChanged>): RoomNotice[] =>
  userIds.map((userId) => ({
    ...{ type: 933, key: String(userId), by, to: { userId, name: '' }, content: '', objectId: jid, fileName: '' },
    ...{ chatTo: [userId], inRoom: false },
  }))
