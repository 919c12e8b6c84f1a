import type { Caller, Params } from '@im/contracts'
import type { archive, MessageRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { sideOf } from '../inbox/chats-repository.ts'
import { singleConversation } from '../messages/conversations.ts'
import { isVisible, type Reader } from '../messages/message-document.ts'
import { messageRow } from '../messages/message-row.ts'
import { readHistoryPage } from './history-page.ts'

type HistoryDeps = Pick<Deps, 'messages' | 'chats' | 'cursors' | 'now'>

/** A page of a single chat. */
export async function listSingleHistory(
  { messages, chats, cursors, now }: HistoryDeps,
  caller: Caller,
  params: Params<(typeof archive)['listSingleHistory']>,
): Promise<MessageRow[]> {
  const conversation = singleConversation(caller.userId, params.receiver)
  const chat = params.receiver === caller.userId ? undefined : await chats.get(conversation)
  if (!chat) return []
  const reader: Reader = { ...sideOf(chat, caller.userId), now: now() }
  const page = await readHistoryPage({ messages, cursors }, caller, params, {
    conversation,
    from: reader.clearedBefore ?? 0,
    isSeen: (message) => isVisible(message, reader),
    near: chat.latest,
  })
  return page.map((message) => messageRow(message, caller.userId))
}
