import type { RoomNotice } from '@im/contracts/room'
import type { Static } from 'typebox'
import type { NoticeDocument } from '../documents/room-document.ts'

export function noticeView({ _id: id, ...notice }: NoticeDocument): Static<typeof RoomNotice> {
  const { roomId, text, userId, nickname, time, modifyTime } = notice
  return { id, roomId, text, userId, nickname, time, modifyTime }
}
