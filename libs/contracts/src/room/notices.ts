import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Oid, Prose, RoomRef } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { RoomNotice } from './wire-entities.ts'

const noticeId = Oid({ notFound: 'NoticeNotFound' })

/** Notices of rooms. A new one is made by `/room/update`. */
export const roomNotices = contract('room', {
  listNotices: {
    path: '/room/notice/list',
    summary: { zh: '获取公告列表', en: 'Notices of a room' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef() }),
    result: Type.Array(RoomNotice),
    errors: ['RoomNotFound', 'NotRoomMember'],
  },
  updateNotice: {
    path: '/room/updateNotice',
    summary: { zh: '修改公告', en: 'Change a notice' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      noticeId,
      noticeContent: Prose({ maxLength: 2000 }),
    }),
    result: RoomNotice,
    errors: ['RoomNotFound', 'NotRoomMember', 'RoomLocked', 'NoticeNotFound'],
  },
  deleteNotice: {
    path: '/room/notice/delete',
    summary: { zh: '删除公告', en: 'Delete a notice' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef(), noticeId }),
    result: Nothing,
    errors: ['RoomNotFound', 'NotRoomMember', 'RoomLocked', 'NoticeNotFound'],
  },
})
