import type { ResultOf } from '@im/contracts'
import type { talks } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { singleConversation } from '../messages/conversations.ts'
import { peerOf, sideOf } from './chats-repository.ts'

/**
 * What a user has not read of each peer, or of everybody, and when they last talked. Peers without messages are absent; of
 * everybody no more than ten thousand are told.
 */
export async function listTalks(
  { messages, chats, now }: Pick<Deps, 'messages' | 'chats' | 'now'>,
  userId: number,
  peers?: readonly number[],
): Promise<ResultOf<(typeof talks)['getTalks']>['talks']> {
  const [known, unread] = await Promise.all([
    peers
      ? chats.byIds(peers.map((peer) => singleConversation(userId, peer))).then((found) => [...found.values()])
      : chats.ofUser(userId),
    messages.unreadOf(userId, peers),
  ])
  const byPeer = new Map(
    known.map((chat) => {
      const { clearedBefore = 0 } = sideOf(chat, userId)
      const peer = peerOf(chat, userId).user
      return [peer, { talk: { peer, unread: 0, lastTalkTime: Math.floor(chat.latest) }, clearedBefore }]
    }),
  )
  for (const { from, timeSend, expireAt } of unread) {
    const found = byPeer.get(from)
    if (found && timeSend >= found.clearedBefore && !(expireAt && expireAt.getTime() <= now())) found.talk.unread++
  }
  return [...byPeer.values()].map(({ talk }) => talk)
}
