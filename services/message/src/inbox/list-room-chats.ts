import { type LastChat, messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'
import { isVisible, type MessageDocument, type Reader } from '../messages/message-document.ts'
import { isSince, sinceOf } from '../room-facts/joined-room.ts'
import { type MemberRoom, roomsOrNone } from '../room-facts/rooms-of.ts'

export type RoomChatDeps = Pick<Deps, 'messages' | 'roomChats' | 'roomFacts' | 'roomsOf' | 'now'>

/** Rooms of which each needs a look into its history. */
const atOnce = 20

/** Messages that say they were sent before their reader joined, and are looked at for the newest. */
const mostAntedated = 200

/** A chat in a list, and its place there. */
export interface ListedChat {
  conversation: string
  timeSend: number
  row: LastChat
}

/** The newest message of each room of a user that they can see; without those of which they see none. */
export async function listRoomChats(
  { messages, roomChats, roomFacts, roomsOf, now }: RoomChatDeps,
  user: number,
  { from = 1, before = Number.POSITIVE_INFINITY }: { from?: number; before?: number },
): Promise<ListedChat[]> {
  const { moment } = roomFacts
  const joined = await roomsOrNone(roomsOf(user))
  const rooms = new Map(joined.map((room) => [roomConversation(room.jid), room]))
  const chats = await roomChats.byIds([...rooms.keys()])
  const shown = await messages.forList(chats.map((chat) => chat.shown))
  const reader: Reader = { user, now: now() }
  const listed: ListedChat[] = []
  const looked: Promise<void>[] = []
  for (const chat of chats) {
    const room = rooms.get(chat._id)!
    const message = shown.get(chat.shown.toHexString())
    if (message && isVisible(message, reader) && isSince(room, message)) listed.push(listedRoom(room, message, user))
    else {
      if (looked.length === atOnce) await Promise.all(looked.splice(0))
      looked.push(
        newestOf(messages, chat, room, reader).then((newest) => {
          if (newest) listed.push(listedRoom(room, newest, user))
        }),
      )
    }
  }
  await Promise.all(looked)
  const left = await roomFacts.leftSince(moment, user, joined)
  return listed.filter(({ timeSend, row }) => timeSend >= from && timeSend < before && !left.has(row.jid))
}

/** The newest message that a member sees, when what is shown is none of those. */
async function newestOf(
  messages: Deps['messages'],
  chat: { _id: string; timeSend: number },
  room: MemberRoom,
  reader: Reader,
): Promise<MessageDocument | undefined> {
  const isSeen = (message: MessageDocument) => isVisible(message, reader) && isSince(room, message)
  const range = { near: chat.timeSend, from: room.joinedAt }
  const newest = chat.timeSend >= room.joinedAt && (await messages.newestListed(chat._id, isSeen, range))
  if (newest) return newest
  for await (const message of messages.antedatedOfRoom(room.jid, sinceOf(room), { limit: mostAntedated }))
    if (messageType(message.contentType).listed && isSeen(message)) return message
  return undefined
}

const listedRoom = ({ jid, name }: MemberRoom, message: MessageDocument, user: number): ListedChat => ({
  conversation: message.conversation,
  timeSend: message.timeSend,
  row: {
    jid,
    isRoom: 1,
    type: message.contentType,
    messageId: message.messageId,
    timeSend: Math.floor(message.timeSend),
    content: message.content,
    isEncrypt: message.isEncrypt ? 1 : 0,
    userId: String(user),
    from: String(message.from),
    fromUserName: message.nickname ?? '',
    to: jid,
    toUserName: name,
  },
})
