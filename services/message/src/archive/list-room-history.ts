import type { Caller, Params } from '@im/contracts'
import type { archive, RoomRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { isSince, sinceOf } from '../rooms/room-history.ts'
import { roomNamed } from '../rooms/rooms-of.ts'
import { roomConversation } from './conversations.ts'
import { readHistoryPage } from './history-page.ts'
import { isVisible } from './message-document.ts'
import { roomRow } from './message-row.ts'

/** A page of the history of a room, for its members: what came since they joined. Others get nothing. */
export async function listRoomHistory(
  { messages, roomChats, roomsOf, cursors, now }: Pick<Deps, 'messages' | 'roomChats' | 'roomsOf' | 'cursors' | 'now'>,
  caller: Caller,
  params: Params<(typeof archive)['listRoomHistory']>,
): Promise<RoomRow[]> {
  const room = roomNamed(await roomsOf(caller.userId), params.roomId)
  if (!room) return []
  const conversation = roomConversation(room.jid)
  const reader = { user: caller.userId, now: now() }
  const page = await readHistoryPage({ messages, cursors }, caller, params, {
    conversation,
    from: room.joinedAt,
    isSeen: (message) => isVisible(message, reader) && isSince(room, message),
    antedated: (range) => messages.antedatedOfRoom(room.jid, sinceOf(room), range),
    near: async () => (await roomChats.byIds([conversation]))[0]?.timeSend ?? now() / 1000,
  })
  return page.map(roomRow)
}
