import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds } from '../result-types.ts'
import { MemberState, Person, RoomState } from './entities.ts'

/**
 * The aggregate of all these events but the last one is the roomId: what happens in a room is in one order. `room` is the room
 * after the change, `by` who made it. The message service makes the room events of apps (types 401, 402, 9xx) from them.
 */
const about = {
  room: RoomState,
  by: Person,
  at: Milliseconds(),
}

export const roomCreated = event('room.created.v1', 'A room was made; its first members follow', Type.Object(about))

export const roomChanged = event(
  'room.changed.v1',
  'Fields of a room changed',
  Type.Object({
    ...about,
    changed: Type.Array(Type.String(), { description: 'names of the fields of Room that have another value now' }),
  }),
)

/** The room is gone for good: nobody ever gets its jid again. */
export const roomDissolved = event(
  'room.dissolved.v1',
  'A room was dissolved',
  Type.Object({ ...about, memberIds: Type.Array(Type.Integer(), { description: 'who was in it' }) }),
)

export const roomTransferred = event(
  'room.transferred.v1',
  'A room has another owner; the old one is a plain member now',
  Type.Object({ ...about, to: MemberState }),
)

export const membersJoined = event(
  'member.joined.v1',
  'Users became members of a room, in this order',
  Type.Object({ ...about, members: Type.Array(MemberState) }),
)

/** `by` is the member: they left. */
export const memberLeft = event(
  'member.left.v1',
  'A member left a room or was removed',
  Type.Object({ ...about, member: Person }),
)

/** Comes with every `member.left.v1`, behind it: the role tells of whom the room does not know. */
export const memberGone = event(
  'member.left.v2',
  'A member left a room or was removed',
  Type.Object({ ...about, member: MemberState }),
)

export const memberChanged = event(
  'member.changed.v1',
  'Something about a member of a room changed',
  Type.Object({
    ...about,
    member: MemberState,
    roleBefore: Type.Integer({ minimum: 1, maximum: 5 }),
    changed: Type.Array(Type.String(), {
      description: 'names of the fields of Member that have another value now, own settings included',
    }),
  }),
)

/** Beside `member.changed`, which does not say the values of a member's own settings. */
export const memberDoNotDisturbChanged = event(
  'member.do-not-disturb-changed.v1',
  'A member switched the push notifications of a room off or on',
  Type.Object({
    roomId: Type.String(),
    jid: Type.String(),
    userId: Type.Integer({ minimum: 1 }),
    offlineNoPushMsg: Type.Integer({ description: '1: off' }),
    at: Milliseconds(),
  }),
)

export const noticePublished = event(
  'notice.published.v1',
  'A room has a new notice',
  Type.Object({ ...about, noticeId: Type.String(), text: Type.String() }),
)

export const noticeEdited = event(
  'notice.edited.v1',
  'A notice of a room has another text',
  Type.Object({ ...about, noticeId: Type.String(), text: Type.String() }),
)

const share = { shareId: Type.String(), name: Type.String({ description: 'of the file' }) }

export const shareAdded = event('share.added.v1', 'A file was added to a room', Type.Object({ ...about, ...share }))

export const shareDeleted = event(
  'share.deleted.v1',
  'A file of a room was deleted',
  Type.Object({ ...about, ...share }),
)

/** One event for some hundreds of files. What members said in the room goes by `room.dissolved`. */
export const sharesDropped = event(
  'share.dropped.v1',
  'A room was dissolved, and with it the files that members shared in it',
  Type.Object({
    roomId: Type.String(),
    files: Type.Array(Type.Object({ url: Type.String(), userId: Type.Integer({ description: 'who shared it' }) })),
    at: Milliseconds(),
  }),
)

/** Users who typed the same digits at the same place wait for each other (spec 04-room.md, /room/location). Aggregate: the jid. */
export const waitingRoomChanged = event(
  'room.waiting-changed.v1',
  'Somebody came to a waiting room or left it',
  Type.Object({
    jid: Type.String(),
    userIds: Type.Array(Type.Integer(), { description: 'who waits and is to be told' }),
    by: Person,
    at: Milliseconds(),
  }),
)
