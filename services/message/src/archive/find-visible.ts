import type { Deps } from '../deps.ts'
import { sideOf } from '../inbox/chats-repository.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import { isSince } from '../room-facts/joined-room.ts'
import { type MemberRoom, roomNamed } from '../room-facts/rooms-of.ts'

/** Messages of a user's single chats by their ids, as far as this user can see them. */
export async function findVisible(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  user: number,
  messageIds: readonly string[],
): Promise<MessageDocument[]> {
  const found = await messages.ofUser(user, messageIds)
  const known = await chats.byIds(found.map(({ conversation }) => conversation))
  return found.filter((message) => {
    const chat = known.get(message.conversation)
    return isVisible(message, { user, clearedBefore: chat && sideOf(chat, user).clearedBefore, now: now() })
  })
}

/** A message of a room, and the room as its reader is in it. */
export interface RoomMessage {
  message: MessageDocument
  room: MemberRoom
}

/** Messages by their ids of the rooms a user is in, as far as this user can see them. */
export async function findVisibleInRooms(
  { messages, roomFacts, roomsOf, now }: Pick<Deps, 'messages' | 'roomFacts' | 'roomsOf' | 'now'>,
  user: number,
  messageIds: readonly string[],
  roomRef: string | undefined,
): Promise<RoomMessage[]> {
  const { moment } = roomFacts
  const all = await roomsOf(user)
  const only = roomRef === undefined ? undefined : roomNamed(all, roomRef)
  const joined = roomRef === undefined ? all : only ? [only] : []
  const rooms = new Map(joined.map((room) => [room.jid, room]))
  const found = await messages.inRooms([...rooms.keys()], messageIds)
  const reader = { user, now: now() }
  const seen = found
    .map((message) => ({ message, room: rooms.get(message.roomJid!)! }))
    .filter(({ message, room }) => isVisible(message, reader) && isSince(room, message))
  const left = await roomFacts.leftSince(moment, user, [...new Set(seen.map(({ room }) => room))])
  return seen.filter(({ room }) => !left.has(room.jid))
}
