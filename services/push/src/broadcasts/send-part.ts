import { createHash } from 'node:crypto'
import { serverMessages } from '@im/contracts/message'
import type { BroadcastPeers } from './broadcasts.ts'
import type { BroadcastDocument } from './broadcasts-repository.ts'

/** The same for a broadcast and receiver whenever the part is sent, so that it is stored and delivered once. */
export const messageIdOf = ({ _id }: Pick<BroadcastDocument, '_id'>, userId: number): string =>
  createHash('md5').update(`broadcast:${_id.toHexString()}:${userId}`).digest('hex')

/** Sends a broadcast to some of its receivers. Sending it to them again is harmless. */
export async function sendPart(
  { message }: Pick<BroadcastPeers, 'message'>,
  broadcast: BroadcastDocument,
  userIds: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const { from, fromUserName, body } = broadcast
  const receivers = userIds.map((userId) => ({ userId, messageId: messageIdOf(broadcast, userId) }))
  await message.call(serverMessages.sendToUsers, { from, fromUserName, ...body, receivers }, { signal })
}
