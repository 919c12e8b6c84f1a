import type { Deps } from '../deps.ts'
import { singleConversation } from '../messages/conversations.ts'
import { sideNames, withShown } from './chats-repository.ts'

/**
 * Takes a chat out of the lists of these of its two users until something new comes. Its messages stay. What came after `at` (ms)
 * stays in the lists.
 */
export async function hideChat(
  { chats, outbox }: Pick<Deps, 'chats' | 'outbox'>,
  [first, second]: [number, number],
  users: readonly number[],
  at: number,
): Promise<void> {
  await outbox.commit(async (change) => {
    const chat = await chats.get(singleConversation(first, second), change.session)
    if (!chat) return
    const hidden = { ...chat }
    for (const name of sideNames) {
      const side = chat[name]
      if (users.includes(side.user) && (side.ts ?? 0) <= at && (side.hiddenAt ?? 0) < at)
        hidden[name] = { ...withShown(side, undefined), hiddenAt: at }
    }
    if (sideNames.some((name) => hidden[name] !== chat[name])) chats.write([hidden], change)
  })
}
