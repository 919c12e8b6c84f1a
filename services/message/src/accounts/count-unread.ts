import type { ResultOf } from '@im/contracts'
import type { accountChats } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

/** What a user has not read, and of how many peers. What they have cleared does not count. */
export async function countUnread(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  userId: number,
): Promise<ResultOf<(typeof accountChats)['countUnread']>> {
  const [unread, cleared] = await Promise.all([messages.unreadOf(userId, undefined), chats.clearedBy(userId)])
  const counted = unread.filter(
    ({ from, timeSend, expireAt }) =>
      timeSend >= (cleared.get(from) ?? 0) && !(expireAt && expireAt.getTime() <= now()),
  )
  return { messages: counted.length, peers: new Set(counted.map(({ from }) => from)).size }
}
