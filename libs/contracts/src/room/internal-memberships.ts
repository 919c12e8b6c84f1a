import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, RoomRef, UserId } from '../param-types.ts'
import { FlagResult, Nothing } from '../result-types.ts'

/** Asked by other services and by operators' tools. */
export const internalMemberships = contract('room', {
  getMembership: {
    path: '/internal/rooms/membership',
    summary: { zh: '用户是否在群组中', en: 'What a user is in a room' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId(), room: RoomRef() }),
    result: Type.Object({
      exists: FlagResult({ description: '0: there is no such room, or not any more' }),
      roomId: Type.String(),
      jid: Type.String(),
      role: Type.Integer({ description: '1 owner, 2 admin, 3 member, 4 invisible, 5 guardian; 0: not a member' }),
      allowSpeakCourse: FlagResult(),
      locked: FlagResult({ description: '1: nothing of the room may be changed' }),
    }),
  },
  setRoomLocked: {
    path: '/internal/rooms/lock',
    summary: { zh: '锁定或解锁群组', en: 'Lock or unlock a room' },
    auth: 'internal',
    params: Type.Object({ room: RoomRef(), locked: Flag() }),
    result: Nothing,
    errors: ['RoomNotFound'],
  },
})
