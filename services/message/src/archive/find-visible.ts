import type { Deps } from '../deps.ts'
import { sideOf } from '../inbox/chats-repository.ts'
import { isVisible, type MessageDocument } from './message-document.ts'

/** Messages of a user's single chats by their ids, as far as this user can see them. */
export async function findVisible(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  user: number,
  messageIds: readonly string[],
): Promise<MessageDocument[]> {
  const found = await messages.ofUser(user, messageIds)
  const known = await chats.byIds(found.map(({ conversation }) => conversation))
  return found.filter((message) => {
    const chat = known.get(message.conversation)
    return isVisible(message, { user, clearedBefore: chat && sideOf(chat, user).clearedBefore, now: now() })
  })
}
