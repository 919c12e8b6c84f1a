import { type MessageRow, messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { type Chat, peerOf, sideOf } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { isVisible } from '../messages/message-document.ts'
import { messageRow } from '../messages/message-row.ts'

/** Messages of one chat that are looked at: whoever wrote before that has been answered at length. */
const mostLookedAt = 200
const chatsAtOnce = 8

/** Characters of a content that is shown in a list. The whole one stands in the chat. */
const longestShown = 4000
/** The same of another member of a body. */
const longestMember = 256

/** The newest message that each of these peers wrote to a user, as far as the user sees one. Long ones are cut. */
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
    if (isShown) return shortened(messageRow(message, userId))
    if (++looked >= mostLookedAt) return undefined
  }
  return undefined
}

function shortened(row: MessageRow): MessageRow {
  if (row.content.length <= longestShown && row.body.length <= 2 * longestShown) return row
  const content = row.content.slice(0, longestShown).toWellFormed()
  return { ...row, content, body: shortBody(row.body, content) }
}

/** What is short of a body, up to some length in all, and the content that is shown. */
function shortBody(body: string, content: string): string {
  const short: [string, unknown][] = []
  let length = 0
  for (const [name, value] of Object.entries(JSON.parse(body) as object)) {
    const size = name.length + (JSON.stringify(value) as string).length
    if (name === 'content' || size > longestMember || length + size > longestShown) continue
    length += size
    short.push([name, value])
  }
  return JSON.stringify({ ...Object.fromEntries(short), content })
}
