import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { makingParams } from '../fields.ts'
import {
  Days,
  Entity,
  FlagOrUnchanged,
  Ids,
  Int,
  PageIndex,
  PageSize,
  Prose,
  RoomRef,
  Text,
  Time,
  UserId,
} from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { describingFields, roomFields, switchFields } from './room-fields.ts'
import { Room } from './wire-entities.ts'

/** Rooms that one user may make in a day, copies and face-to-face rooms included. */
export const roomsPerDay = { by: 'user', max: 30, seconds: 86_400, group: 'make-room', counts: 'successes' } as const

const { maxUserSize, ...fieldsWithDefault } = roomFields
const { desc, subject, category, tags } = describingFields
const changedSwitches = Object.fromEntries(
  Object.keys(switchFields).map((name) => [name, Type.Optional(FlagOrUnchanged())]),
) as { [K in keyof typeof switchFields]: ReturnType<typeof Type.Optional<ReturnType<typeof FlagOrUnchanged>>> }

/** Rooms as their members see and change them (spec 04-room.md). */
export const rooms = contract('room', {
  addRoom: {
    path: '/room/add',
    summary: { zh: '创建群组', en: 'Make a room' },
    auth: 'user',
    params: Type.Object({
      room: Type.Optional(
        Entity({
          jid: Type.Optional(
            Text({
              trim: true,
              maxLength: 64,
              pattern: '^[A-Za-z0-9_-]+$',
              description: 'of a live room that the caller made over XMPP; absent: a new one',
            }),
          ),
          ...makingParams(fieldsWithDefault),
          maxUserSize: Type.Optional(maxUserSize.param),
        }),
      ),
      text: Type.Optional(Ids({ description: 'first members' })),
    }),
    result: Room,
    errors: ['JidTaken', 'RoomFull'],
    limits: [roomsPerDay],
  },
  copyRoom: {
    path: '/room/copyRoom',
    timeoutMs: 30_000,
    summary: { zh: '群复制', en: 'Make a room with the settings and members of another' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef() }),
    result: Room,
    errors: ['RoomNotFound', 'NotRoomMember', 'OwnerOnly', 'RoomLocked'],
    limits: [roomsPerDay],
  },
  dissolveRoom: {
    path: '/room/delete',
    timeoutMs: 30_000,
    summary: { zh: '删除群组', en: 'Dissolve a room' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef() }),
    result: Nothing,
    errors: ['RoomNotFound', 'NotRoomMember', 'OwnerOnly', 'RoomLocked'],
  },
  updateRoom: {
    path: '/room/update',
    summary: { zh: '更新群组', en: 'Change a room' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      roomName: Type.Optional(describingFields.name.param),
      notice: Type.Optional(Prose({ maxLength: 2000, description: 'a new notice' })),
      desc: Type.Optional(desc.param),
      subject: Type.Optional(subject.param),
      category: Type.Optional(category.param),
      tags: Type.Optional(tags.param),
      ...changedSwitches,
      talkTime: Type.Optional(
        Time({
          minimum: -2,
          description: 'mutes everybody until then (seconds or milliseconds); 0 lifts, -2 unchanged',
        }),
      ),
      chatRecordTimeOut: Type.Optional(Days({ description: 'days, -1 for ever, 0 unchanged' })),
      maxUserSize: Type.Optional(Int({ description: '0 and less: unchanged' })),
    }),
    result: Nothing,
    errors: ['RoomNotFound', 'NotRoomMember', 'OwnerOnly', 'RoomLocked'],
  },
  transferRoom: {
    path: '/room/transfer',
    summary: { zh: '群组转让', en: 'Give a room to another owner' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef(), toUserId: UserId() }),
    result: Room,
    errors: ['RoomNotFound', 'NotRoomMember', 'OwnerOnly', 'MemberNotFound', 'RoomLocked'],
  },
  getRoom: {
    path: '/room/get',
    summary: { zh: '获取群组详情', en: 'A room with its members' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef(), pageIndex: PageIndex(), pageSize: PageSize(500) }),
    result: Room,
    errors: ['RoomNotFound'],
  },
  getRoomBriefly: {
    path: '/room/getRoom',
    summary: { zh: '获取群组信息（不含成员列表）', en: 'A room without its members' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef() }),
    result: Room,
    errors: ['RoomNotFound'],
  },
  listRooms: {
    path: '/room/list',
    summary: { zh: '获取群组列表', en: 'Public rooms' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      roomName: Type.Optional(Text({ trim: true, maxLength: 64, description: 'part of the name or description' })),
      pageIndex: PageIndex(),
      pageSize: PageSize(10),
    }),
    result: Type.Array(Room),
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
  listOwnRooms: {
    path: '/room/list/his',
    summary: { zh: '获取我的群组列表', en: 'Rooms of the caller' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      type: Int({ default: 0, minimum: 0, maximum: 2, description: '0 all, 1 own rooms, 2 rooms of others' }),
      pageIndex: PageIndex(),
      pageSize: PageSize(10),
    }),
    result: Type.Array(Room),
  },
  getCall: {
    path: '/room/get/call',
    summary: { zh: '获取群组会议号', en: 'Conference number of a room' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef() }),
    result: Type.Object({ call: Type.String() }),
    errors: ['RoomNotFound', 'NotRoomMember'],
  },
})
