import type { Caller, Params } from '@im/contracts'
import type { archive, RoomRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'
import { isVisible } from '../messages/message-document.ts'
import { roomRow } from '../messages/message-row.ts'
import { isSince, type JoinedRoom, sinceOf } from '../room-facts/joined-room.ts'
import { roomNamed } from '../room-facts/rooms-of.ts'
import { readHistoryPage } from './history-page.ts'

type HistoryDeps = Pick<Deps, 'messages' | 'roomChats' | 'roomFacts' | 'roomsOf' | 'cursors' | 'now'>

/** A page of the history of a room, for its members: what came since they joined. Others get nothing. */
export async function listRoomHistory(
  { messages, roomChats, roomFacts, roomsOf, cursors, now }: HistoryDeps,
  caller: Caller,
  params: Params<(typeof archive)['listRoomHistory']>,
): Promise<RoomRow[]> {
  const { moment } = roomFacts
  const room = await joinedRoom({ roomFacts, roomsOf }, caller.userId, params.roomId)
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
  // Who was removed meanwhile may see nothing that was said since.
  const left = await roomFacts.leftSince(moment, caller.userId, [room])
  return left.size ? [] : page.map(roomRow)
}

/** What is known of a room by its jid costs no question; who is no member by it may have become one. */
async function joinedRoom(
  { roomFacts, roomsOf }: Pick<Deps, 'roomFacts' | 'roomsOf'>,
  user: number,
  ref: string,
): Promise<Pick<JoinedRoom, 'jid' | 'joinedAt'> | undefined> {
  const jid = ref.toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(jid)) return roomNamed(await roomsOf(user), ref)
  const known = roomFacts.peek(jid, user)
  const { state, member } = known?.member ? known : await roomFacts.ask(jid, user)
  return state === 'live' && member ? { jid, joinedAt: member.since / 1000 } : undefined
}
