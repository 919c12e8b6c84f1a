import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Double, Flag, Name, Text } from '../param-types.ts'
import { Nothing, UnixSeconds } from '../result-types.ts'
import { roomsPerDay } from './rooms.ts'
import { Room } from './wire-entities.ts'

const jid = Text({ trim: true, maxLength: 64 })

/** Face-to-face rooms: who types the same digits at the same place meets in a waiting room, which becomes a room. */
export const waitingRooms = contract('room', {
  waitForOthers: {
    path: '/room/location/query',
    summary: { zh: '面对面建群：等待', en: 'Wait for others at this place' },
    auth: 'user',
    params: Type.Object({
      longitude: Double({ minimum: -180, maximum: 180 }),
      latitude: Double({ minimum: -90, maximum: 90 }),
      password: Text({ trim: true, maxLength: 4, pattern: '^[0-9]{4}$', description: '4 digits' }),
      isQuery: Flag({ default: 0, description: '1: the others are not told' }),
      name: Type.Optional(Name({ maxLength: 64, description: 'of the room, when it is a new one' })),
    }),
    result: Type.Object({
      jid: Type.String(),
      name: Type.String(),
      members: Type.Array(
        Type.Object({
          userId: Type.Integer(),
          nickname: Type.String(),
          role: Type.Integer(),
          createTime: UnixSeconds(),
        }),
      ),
    }),
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
  enterWaitingRoom: {
    path: '/room/location/join',
    summary: { zh: '面对面建群：进入', en: 'Make the room of those who wait, or join it' },
    auth: 'user',
    params: Type.Object({ jid }),
    result: Room,
    errors: ['RoomNotFound', 'JoinNeedsApproval', 'RoomFull', 'RoomLocked', 'JidTaken'],
    // Who joins the room of another counts, too: it is not known before.
    limits: [roomsPerDay],
  },
  leaveWaitingRoom: {
    path: '/room/location/exit',
    summary: { zh: '面对面建群：退出', en: 'Wait no longer' },
    auth: 'user',
    params: Type.Object({ jid }),
    result: Nothing,
  },
})
