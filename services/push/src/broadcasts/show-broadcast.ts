import type { Broadcast } from '@im/contracts/push'
import type { BroadcastDocument } from './broadcasts-repository.ts'

/** Characters of the content that a list shows. */
const longestPreview = 200

/** A broadcast as it is answered. */
export function showBroadcast(broadcast: BroadcastDocument): Broadcast {
  const { _id, from, audience, body, state, of, done, failed, createdAt, endedAt } = broadcast
  return {
    ...{ id: _id.toHexString(), fromUserId: from, audience, state, of, done, failed },
    type: body.type,
    content: body.content.slice(0, longestPreview).toWellFormed(),
    createTime: Math.floor(createdAt.getTime() / 1000),
    endTime: endedAt ? Math.floor(endedAt.getTime() / 1000) : 0,
  }
}
