import type { Call, ResultOf } from '@im/contracts'
import { internalMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

export type ReadMessage = ResultOf<(typeof internalMessages)['readMessages']>['messages'][number]

/**
 * Asks the message service for the messages with these ids that the user can see, in single chats or in a room. When both sides
 * of a chat used one id, the user's own message counts.
 */
export async function readMessages(
  { message }: Pick<Deps, 'message'>,
  { userId, messageIds, room }: { userId: number; messageIds: readonly string[]; room?: string | undefined },
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<Map<string, ReadMessage>> {
  const asked = { userId, messageIds: [...new Set(messageIds)], room }
  const { messages } = await message.call(internalMessages.readMessages, asked, waiting)
  const found = new Map<string, ReadMessage>()
  for (const read of messages) if (!found.has(read.messageId) || read.from === userId) found.set(read.messageId, read)
  return found
}
