import type { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { type Chat, type ChatSide, sideNames, withShown } from './chats-repository.ts'

/** Chats of one transaction. */
const atOnce = 50

/** Where these messages, which somebody has lost, are what a chat shows: shows the newest one each side can still see. */
export async function refreshChats(
  { messages, chats, outbox, now }: Pick<Deps, 'messages' | 'chats' | 'outbox' | 'now'>,
  lost: readonly { _id: ObjectId; conversation: string }[],
): Promise<void> {
  const ids = new Set(lost.map(({ _id }) => _id.toHexString()))
  const isLost = ({ shown }: ChatSide) => shown !== undefined && ids.has(shown.toHexString())
  const conversations = [...new Set(lost.map(({ conversation }) => conversation))]
  for (let at = 0; at < conversations.length; at += atOnce)
    await outbox.commit(async ({ session }) => {
      const found = await chats.byIds(conversations.slice(at, at + atOnce), session)
      const changed: Chat[] = []
      for (const chat of found.values()) {
        const fresh = { ...chat }
        for (const name of sideNames.filter((side) => isLost(chat[side]))) {
          const side = chat[name]
          const newest = await messages.newestListed(chat._id, { ...side, now: now() }, chat.latest, session)
          fresh[name] = withShown(side, newest)
        }
        if (sideNames.some((name) => fresh[name] !== chat[name])) changed.push(fresh)
      }
      await chats.write(changed, session)
    })
}
