import { type Params, pageOf, type ResultOf } from '@im/contracts'
import type { accountChats } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { sideOf } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { messageRow } from '../messages/message-row.ts'

type PageChat = (typeof accountChats)['pageChat']

/** A page of a single chat, newest first, with the count of all its messages. Reading it may mark them as read. */
export async function pageChat(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  { userId, peer, pageIndex, pageSize, read }: Params<PageChat>,
): Promise<ResultOf<PageChat>> {
  const chat = userId === peer ? undefined : await chats.get(singleConversation(userId, peer))
  if (!chat) return pageOf([], 0, pageIndex, pageSize)
  const reader = { ...sideOf(chat, userId), now: now() }
  const { rows, total } = await messages.visiblePage(chat._id, reader, pageIndex * pageSize, pageSize)
  const unread = rows.filter(({ from, isRead, unreadBy }) => from === peer && !(isRead && unreadBy === undefined))
  if (read && unread.length)
    await messages.markReadBy(
      userId,
      unread.map(({ messageId }) => messageId),
    )
  const shown = rows.map((row) => messageRow(read && row.from === peer ? { ...row, isRead: true } : row, userId))
  return pageOf(shown, total, pageIndex, pageSize)
}
