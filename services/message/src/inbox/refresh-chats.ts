import type { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { usersOf } from '../messages/conversations.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import { type Chat, type ChatSide, sideNames, withShown } from './chats-repository.ts'

/** Chats of one transaction. */
const atOnce = 50

/** Where these messages, which somebody has lost, are what a chat shows: shows the newest one each side can still see. */
export async function refreshChats(
  { messages, chats, roomChats, outbox, now }: Pick<Deps, 'messages' | 'chats' | 'roomChats' | 'outbox' | 'now'>,
  gone: readonly { _id: ObjectId; conversation: string }[],
): Promise<void> {
  const [lost, lostInRooms] = [gone.filter(isSingle), gone.filter((one) => !isSingle(one))]
  const ids = new Set(lost.map(({ _id }) => _id.toHexString()))
  const isLost = ({ shown }: ChatSide) => shown !== undefined && ids.has(shown.toHexString())
  const conversations = [...new Set(lost.map(({ conversation }) => conversation))]
  for (let at = 0; at < conversations.length; at += atOnce)
    await outbox.commit(async (change) => {
      const { session } = change
      const found = await chats.byIds(conversations.slice(at, at + atOnce), session)
      const changed: Chat[] = []
      for (const chat of found.values()) {
        const fresh = { ...chat }
        for (const name of sideNames.filter((side) => isLost(chat[side]))) {
          const side = chat[name]
          const isSeen = (message: MessageDocument) => isVisible(message, { ...side, now: now() })
          const range = { near: chat.latest, from: side.clearedBefore, session }
          const newest = await messages.newestListed(chat._id, isSeen, range)
          fresh[name] = withShown(side, newest)
        }
        if (sideNames.some((name) => fresh[name] !== chat[name])) changed.push(fresh)
      }
      chats.write(changed, change)
    })
  for (const chat of await roomChats.byIds([...new Set(lostInRooms.map(({ conversation }) => conversation))])) {
    if (!lostInRooms.some(({ _id }) => _id.equals(chat.shown))) continue
    const isAlive = (message: MessageDocument) => isVisible(message, { user: 0, now: now() })
    const newest = () => messages.newestListed(chat._id, isAlive, { near: chat.timeSend })
    await roomChats.replace(chat._id, chat.shown, await newest())
    // What was stored meanwhile was compared with the lost one.
    const current = await newest()
    if (current) await roomChats.show(new Map([[chat._id, current]]))
  }
}

const isSingle = ({ conversation }: { conversation: string }) => usersOf(conversation) !== undefined
