import type { ResultOf } from '@im/contracts'
import type { talks } from '@im/contracts/message'
import { singleConversation } from '../archive/conversations.ts'
import type { Deps } from '../deps.ts'
import { sideOf } from './chats-repository.ts'

/** What a user has not read of each peer, and when they last talked. Peers without messages are absent. */
export async function listTalks(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  userId: number,
  peers: readonly number[],
): Promise<ResultOf<(typeof talks)['getTalks']>['talks']> {
  const conversations = new Map(peers.map((peer) => [peer, singleConversation(userId, peer)]))
  const [known, unread] = await Promise.all([
    chats.byIds([...conversations.values()]),
    messages.unreadOf(userId, peers),
  ])
  const counts = new Map<number, number>()
  for (const { from, timeSend, expireAt } of unread) {
    const chat = known.get(conversations.get(from) ?? '')
    const clearedBefore = chat ? (sideOf(chat, userId).clearedBefore ?? 0) : 0
    const isSeen = timeSend >= clearedBefore && !(expireAt && expireAt.getTime() <= now())
    if (isSeen) counts.set(from, (counts.get(from) ?? 0) + 1)
  }
  return [...conversations].flatMap(([peer, conversation]) => {
    const chat = known.get(conversation)
    return chat ? [{ peer, unread: counts.get(peer) ?? 0, lastTalkTime: Math.floor(chat.latest) }] : []
  })
}
