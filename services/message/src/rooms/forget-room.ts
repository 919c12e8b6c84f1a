import { forgetMessages } from '../archive/forget-messages.ts'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'

/** Messages of one transaction. */
const atOnce = 500

type ForgetDeps = Pick<Deps, 'messages' | 'mailbox' | 'roomChats' | 'searchIndex' | 'outbox' | 'fileRemovals' | 'now'>

/**
 * The history of a room that was dissolved goes, with what the search and the lists of chats hold of it. Nobody sees any of it from
 * the dissolution on, so it may take as long as it takes. After an abort something is left.
 */
export async function forgetRoom(deps: ForgetDeps, jid: string, signal?: AbortSignal): Promise<void> {
  const { messages, roomChats, outbox } = deps
  const conversation = roomConversation(jid)
  await roomChats.remove(conversation)
  while (!signal?.aborted) {
    const some = await outbox.commit(async (change) => {
      const found = await messages.someOf(conversation, atOnce, change.session)
      await forgetMessages(deps, found, change)
      return found.length
    })
    if (some < atOnce) break
  }
}
