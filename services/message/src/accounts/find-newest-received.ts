import { type MessageRow, messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { type Chat, peerOf, sideOf } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { isVisible } from '../messages/message-document.ts'
import { messageRow } from '../messages/message-row.ts'

/** Messages of one chat that are looked at: whoever wrote before that has been answered at length. */
const mostLookedAt = 200
const chatsAtOnce = 8

/** The newest message that each of these peers wrote to a user, as far as the user sees one. */
export async function findNewestReceived(
  deps: Pick<Deps, 'messages' | 'chats' | 'now'>,
  userId: number,
  peers: readonly number[],
): Promise<MessageRow[]> {
  const others = peers.filter((peer) => peer !== userId)
  const known = [...(await deps.chats.byIds(others.map((peer) => singleConversation(userId, peer)))).values()]
  const found: MessageRow[] = []
  for (let at = 0; at < known.length; at += chatsAtOnce) {
    const some = known.slice(at, at + chatsAtOnce).map((chat) => newestOf(deps, chat, userId))
    found.push(...(await Promise.all(some)).filter((row) => row !== undefined))
  }
  return found
}

async function newestOf(
  { messages, now }: Pick<Deps, 'messages' | 'now'>,
  chat: Chat,
  userId: number,
): Promise<MessageRow | undefined> {
  const reader = { ...sideOf(chat, userId), now: now() }
  const { user: peer } = peerOf(chat, userId)
  const range = { conversation: chat._id, from: reader.clearedBefore }
  let looked = 0
  for await (const message of messages.newestFirst(range, { near: chat.latest, chunk: 10 })) {
    const isShown = message.from === peer && messageType(message.contentType).listed && isVisible(message, reader)
    if (isShown) return messageRow(message, userId)
    if (++looked >= mostLookedAt) return undefined
  }
  return undefined
}
