import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, Name, Oid, PageIndex, PageSize, RoomRef, Self, Text, Time, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { RoomShare } from './wire-entities.ts'

const shareId = Oid({ notFound: 'ShareNotFound' })
const anyMember = ['RoomNotFound', 'NotRoomMember'] as const

/** Files that members share in a room. The files themselves are uploaded before. */
export const roomShares = contract('room', {
  addShare: {
    path: '/room/add/share',
    summary: { zh: '添加群共享文件', en: 'Share a file' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      type: Int({ minimum: 1, maximum: 10 }),
      size: Int({ minimum: 0, description: 'bytes' }),
      userId: Self(),
      url: Text({ trim: true, maxLength: 2048 }),
      name: Name({ maxLength: 300 }),
    }),
    result: RoomShare,
    errors: [...anyMember, 'RoomLocked', 'UploadNotAllowed'],
  },
  findShares: {
    path: '/room/share/find',
    summary: { zh: '查询群共享文件', en: 'Shared files' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      roomId: RoomRef(),
      time: Time({ default: 0, description: 'only files up to then; 0: all' }),
      userId: Type.Optional(UserId({ description: 'only files of this user' })),
      pageIndex: PageIndex(),
      pageSize: PageSize(10),
    }),
    result: Type.Array(RoomShare),
    errors: anyMember,
  },
  getShare: {
    path: '/room/share/get',
    summary: { zh: '获取群共享文件', en: 'One shared file' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef(), shareId }),
    result: RoomShare,
    errors: [...anyMember, 'ShareNotFound'],
  },
  deleteShare: {
    path: '/room/share/delete',
    summary: { zh: '删除群共享文件', en: 'Delete a shared file' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef(), shareId, userId: Self() }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked', 'ShareNotFound'],
  },
})
