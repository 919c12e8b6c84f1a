import { type MemberRole, memberRoles } from '@im/contracts/room'

const { owner, admin, member, invisible, guardian } = memberRoles

export interface MemberDocument {
  /** `<roomId>:<userId>` */
  _id: string
  roomId: string
  userId: number
  role: MemberRole
  /** Place in lists: 1 the owner, 2 admins, 3 everybody else. */
  rank: number
  nickname: string
  /** The nickname was given in this room, so it does not follow the user's own. */
  isNamed: boolean
  /** What the owner calls them, or they themselves. */
  remarkName?: string
  sub: 0 | 1
  offlineNoPushMsg: 0 | 1
  /** Seconds; 0: not pinned. */
  openTopChatTime: number
  /** Muted until then (seconds); 0: not muted. */
  talkTime: number
  /** When they joined: seconds, and milliseconds. */
  createTime: number
  joinedAt: number
  modifyTime: number
  /** Of the room, so that a user's rooms are listed in that order. It never changes. */
  roomCreateTime: number
}

export const memberId = (roomId: string, userId: number): string => `${roomId}:${userId}`

export const rankOf = (role: MemberRole): number => Math.min(role, member)

export const isHiddenRole = (role: MemberRole): boolean => role === invisible || role === guardian
export const isOwner = ({ role }: Pick<MemberDocument, 'role'>): boolean => role === owner
/** Owner or admin. */
export const isModerator = ({ role }: Pick<MemberDocument, 'role'>): boolean => role === owner || role === admin

/** How the numbers of a room change when a member gets another role, comes (`from` absent) or goes (`to` absent). */
export function sizesOf(from: MemberRole | undefined, to: MemberRole | undefined) {
  const count = (holds: (role: MemberRole) => boolean) =>
    Number(to !== undefined && holds(to)) - Number(from !== undefined && holds(from))
  return {
    userSize: count(() => true),
    hiddenSize: count(isHiddenRole),
    adminSize: count((role) => role === admin),
  }
}

export function newMember(options: {
  room: { _id: string; createTime: number }
  userId: number
  nickname: string
  role?: MemberRole
  /** Milliseconds. */
  now: number
}): MemberDocument {
  const { room, userId, nickname, role = member, now } = options
  const seconds = Math.floor(now / 1000)
  return {
    _id: memberId(room._id, userId),
    roomId: room._id,
    userId,
    role,
    rank: rankOf(role),
    nickname,
    isNamed: false,
    sub: 1,
    offlineNoPushMsg: 0,
    openTopChatTime: 0,
    talkTime: 0,
    createTime: seconds,
    joinedAt: now,
    modifyTime: seconds,
    roomCreateTime: room.createTime,
  }
}
