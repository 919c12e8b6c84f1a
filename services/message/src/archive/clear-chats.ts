import { type archive, ContractError, messageDeleted, type Params } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { inboxId } from '../inbox/inbox-repository.ts'
import { singleConversation } from './messages-repository.ts'

/** Hides the caller's single chats from him, with one peer (type 0) or all (type 1); the others' copies stay. */
export async function clearChats(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  userId: number,
  { type, toUserId }: Params<(typeof archive)['clearChats']>,
): Promise<void> {
  if (type !== 0 && type !== 1) throw new ContractError('InvalidParams', { detail: 'type: 0 or 1' })
  if (type === 0 && toUserId === undefined) throw new ContractError('MissingParam', { detail: 'toUserId' })
  const peers = type === 0 ? [toUserId!] : await deps.inbox.peersOf(userId)
  for (const peer of peers) await clearChat(deps, userId, peer)
}

async function clearChat(
  { messages, inbox, outbox, now }: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  userId: number,
  peer: number,
): Promise<void> {
  const conversation = singleConversation(userId, peer)
  // Not in the transaction: a long chat would not fit. Stopped half-way, the row below is still there and a new call goes on.
  await messages.hideConversation(conversation, userId)
  await outbox.commit(async (change) => {
    await inbox.remove([inboxId(userId, peer)], change.session)
    change.announce(messageDeleted, conversation, { conversation, messageIds: [], userId, at: now() })
  })
}
