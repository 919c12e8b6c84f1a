import { ObjectId } from 'mongodb'
import { singleConversation } from '../../services/message/src/messages/conversations.ts'
import type { MessageDocument } from '../../services/message/src/messages/message-document.ts'

/** The `n`-th message as the archive stores it; `timeSend` in seconds. */
export function storedMessage(
  n: number,
  { from, to, content, timeSend }: { from: number; to: number; content: string; timeSend: number },
): MessageDocument {
  return {
    _id: new ObjectId(),
    conversation: singleConversation(from, to),
    messageId: n.toString(16).padStart(32, '0'),
    from,
    to,
    fromJid: `${from}@im.localhost/android`,
    toJid: `${to}@im.localhost`,
    nickname: `用户${from}`,
    body: JSON.stringify({ type: 1, content, fromUserId: String(from), toUserId: String(to), timeSend }),
    contentType: 1,
    content,
    timeSend,
    ts: timeSend * 1000,
    deleteTime: -1,
    isEncrypt: false,
    isRead: false,
    deletedFor: [],
    searchable: true,
    tap: `bench:${n}`,
  }
}
