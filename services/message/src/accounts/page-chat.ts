import type { Params, ResultOf } from '@im/contracts'
import type { accountChats } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { sideOf } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { messageRow } from '../messages/message-row.ts'

type PageChat = (typeof accountChats)['pageChat']

/** Characters that the bodies of a page hold: an answer repeats them a few times. A page of 15 messages is never cut. */
const mostText = 2 ** 20

/**
 * A page of a single chat, newest first, with the count of all its messages. Reading it may mark them as read. A page of very
 * long messages has fewer rows; the next one goes on behind them, and there are more pages.
 */
export async function pageChat(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  { userId, peer, pageIndex, pageSize, read }: Params<PageChat>,
): Promise<ResultOf<PageChat>> {
  const chat = userId === peer ? undefined : await chats.get(singleConversation(userId, peer))
  if (!chat) return { pageCount: 0, pageData: [], pageIndex, pageSize, total: 0 }
  const reader = { ...sideOf(chat, userId), now: now() }
  const [lengths, total] = await Promise.all([
    messages.visibleLengths(chat._id, reader, (pageIndex + 1) * pageSize),
    messages.countVisible(chat._id, reader),
  ])
  const pages = pagesOf(lengths, pageSize)
  const { first, count } = pages[pageIndex] ?? { first: 0, count: 0 }
  const rows = count ? await messages.visible(chat._id, reader, first, count) : []
  const unread = rows.filter(({ from, isRead, unreadBy }) => from === peer && !(isRead && unreadBy === undefined))
  if (read && unread.length)
    await messages.markReadBy(
      userId,
      unread.map(({ messageId }) => messageId),
    )
  const pageData = rows.map((row) => messageRow(read && row.from === peer ? { ...row, isRead: true } : row, userId))
  // Of what comes later the lengths are not known.
  const known = pages.slice(0, pageIndex + 1)
  const left = total - known.reduce((sum, page) => sum + page.count, 0)
  const pageCount = known.length + Math.max(0, Math.ceil(left / pageSize))
  return { pageCount, pageData, pageIndex, pageSize, total }
}

/** Where pages begin, when each has as much as it may. A message alone always fits. */
function pagesOf(lengths: readonly number[], pageSize: number): { first: number; count: number }[] {
  const pages: { first: number; count: number }[] = []
  let text = 0
  for (const [n, length] of lengths.entries()) {
    const page = pages.at(-1)
    if (page && page.count < pageSize && text + length <= mostText) {
      page.count++
      text += length
    } else {
      pages.push({ first: n, count: 1 })
      text = length
    }
  }
  return pages
}
