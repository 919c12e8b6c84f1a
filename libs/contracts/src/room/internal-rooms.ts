import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { JsonOf, List, PageSize, RoomRef, UserId } from '../param-types.ts'
import { replayOf } from '../replay.ts'
import { FlagResult } from '../result-types.ts'
import { MemberState, RoomState, StandingMember } from './entities.ts'

const userId = Type.Integer({ minimum: 1 })

/** Asked by the message service, which decides by it what happens in live rooms. */
export const internalRooms = contract('room', {
  getStandings: {
    path: '/internal/rooms/standings',
    summary: { zh: '用户在群组中的身份', en: 'What users are in rooms' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      pairs: JsonOf(Type.Array(Type.Object({ jid: Type.String({ maxLength: 64 }), userId }), { maxItems: 500 })),
    }),
    result: Type.Object({
      standings: Type.Array(
        Type.Object({
          state: Type.Enum(['unknown', 'live', 'dissolved'], { description: 'dissolved: there was such a room' }),
          sequence: Type.Integer({ description: 'of the last event about the room that this contains; 0 unknown' }),
          room: Type.Optional(RoomState),
          member: Type.Optional(StandingMember),
        }),
        {
          description:
            'one for each pair, in their order; a live room with the first of its pairs, the member when they are one',
        },
      ),
    }),
  },
  listRoomsOf: {
    path: '/internal/rooms/of-user',
    summary: { zh: '用户所在的群组', en: 'The rooms a user is in' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userId: UserId() }),
    result: Type.Object({
      rooms: Type.Array(Type.Object({ room: RoomState, member: StandingMember }), {
        description: 'all, locked ones too',
      }),
    }),
  },
  findSharedFiles: {
    path: '/internal/rooms/shared-files',
    summary: { zh: '群共享中的文件', en: 'Which of these files are shared in rooms' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ names: List({ maxItems: 1000, description: '32 hex digits, as in their addresses' }) }),
    result: Type.Object({ names: Type.Array(Type.String()) }),
  },
  pageMembers: {
    path: '/internal/rooms/members',
    summary: { zh: '群成员', en: 'The members of a room, page by page' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      roomId: RoomRef(),
      after: Type.Optional(UserId({ description: '`next` of the page before' })),
      pageSize: PageSize(1000),
    }),
    result: Type.Object({
      members: Type.Array(MemberState, { description: 'by userId; none when there is no such room' }),
      next: Type.Optional(Type.Integer({ description: 'absent on the last page' })),
    }),
  },
})

/** What other services keep of a room. The aggregate is the roomId. */
export const RoomRow = Type.Object({
  roomId: Type.String(),
  jid: Type.String(),
  name: Type.String(),
  dissolved: Type.Boolean(),
  members: Type.Array(
    Type.Object({
      userId,
      name: Type.Optional(Type.String({ description: 'absent: what the user is called everywhere' })),
      offlineNoPushMsg: FlagResult({ description: '1: no push notifications about this room' }),
      joinedAt: Type.Optional(
        Type.Number({ description: 'seconds, with a fraction; absent where the room service is of an older build' }),
      ),
    }),
  ),
})

/** Asked by services that keep something of each room, once, before they follow the events. */
export const replayedRooms = contract('room', {
  pageRooms: {
    path: '/internal/rooms/page',
    summary: { zh: '全部群组', en: 'All rooms with their members, page by page' },
    ...replayOf(RoomRow),
    timeoutMs: 15_000,
  },
})
