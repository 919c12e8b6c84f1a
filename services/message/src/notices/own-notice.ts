import { createHash } from 'node:crypto'
import type { OwnNotice } from './orders-repository.ts'

/** 32 hex from the id of the order: a second try carries the same messageId, and apps drop doubles by it. */
export const messageIdOf = (orderId: string) => createHash('md5').update(orderId).digest('hex')

/** Body and stanza id of a notice to a user's own devices. */
export function ownNotice(
  order: { _id: string; userId: number; createdAt: number },
  notice: OwnNotice,
  nickname: string,
) {
  const messageId = messageIdOf(order._id)
  const user = String(order.userId)
  const name = nickname || user
  return {
    id: messageId,
    body: JSON.stringify({
      type: notice.type,
      messageId,
      fromUserId: user,
      fromUserName: name,
      toUserId: user,
      toUserName: name,
      content: '',
      timeSend: Math.floor(order.createdAt / 1000),
      ...(notice.objectId === undefined ? {} : { objectId: notice.objectId }),
    }),
  }
}
