import { forgetMessages } from '../archive/forget-messages.ts'
import type { Deps } from '../deps.ts'
import { roomConversation } from '../messages/conversations.ts'

/** Messages of one transaction. */
const atOnce = 500

/** The history of a room that was dissolved goes, with what the search and the lists of chats hold of it. */
export async function forgetRoom(deps: Deps, jid: string): Promise<void> {
  const { messages, roomChats, outbox } = deps
  const conversation = roomConversation(jid)
  await roomChats.remove(conversation)
  for (;;) {
    const some = await outbox.commit(async (change) => {
      const found = await messages.someOfRoom(jid, atOnce, change.session)
      await forgetMessages(deps, found, change)
      return found.length
    })
    if (some < atOnce) break
  }
}
