import { ContractError, type Params } from '@im/contracts'
import { type archive, messageDeleted } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { refreshChats } from '../inbox/refresh-chats.ts'
import { singleConversation } from './messages-repository.ts'

/** Hides the caller's single chats from him, with one peer (type 0) or all (type 1); the others' copies stay. */
export async function clearChats(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  userId: number,
  { type, toUserId }: Params<(typeof archive)['clearChats']>,
): Promise<void> {
  if (type !== 0 && type !== 1) throw new ContractError('InvalidParams', { detail: 'type: 0 or 1' })
  if (type === 0 && toUserId === undefined) throw new ContractError('MissingParam', { detail: 'toUserId' })
  const chats = type === 0 ? [singleConversation(userId, toUserId!)] : await deps.inbox.chatsOf(userId)
  for (const conversation of chats) await clearChat(deps, userId, conversation)
}

async function clearChat(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  userId: number,
  conversation: string,
): Promise<void> {
  // Not in the transaction: a long chat would not fit. Stopped half-way, the row below is still there and a new call goes on.
  await deps.messages.hideConversation(conversation, userId)
  await deps.outbox.commit(async (change) => {
    await refreshChats(deps, [conversation], change.session)
    change.announce(messageDeleted, conversation, { conversation, messageIds: [], userId, at: deps.now() })
  })
}
