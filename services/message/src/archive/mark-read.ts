import type { Deps } from '../deps.ts'

/** The caller has read messages they received: both sides see them as read. */
export async function markRead(
  { messages }: Pick<Deps, 'messages'>,
  userId: number,
  messageIds: string[],
): Promise<void> {
  if (messageIds.length) await messages.markReadBy(userId, messageIds)
}
