import type { Payload } from '@im/contracts'
import { type messageRecalled, messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { newPush } from './push-document.ts'

const recall = 202

/**
 * Messages were recalled: notifications of them that were not sent are not sent any more, and those that were are replaced where
 * the provider can do that.
 */
export async function withdraw(
  { config, pushes, pushWorker, now }: Pick<Deps, 'config' | 'pushes' | 'pushWorker' | 'now'>,
  eventId: string,
  { conversation, messageIds, by, at }: Payload<typeof messageRecalled>,
): Promise<void> {
  await pushes.recall(conversation, messageIds)
  const known = await pushes.ofMessages(conversation, messageIds)
  if (!known.length) return
  const dueAt = now() + config.pushDelay * 1000
  const roomJid = conversation.startsWith('r:') ? conversation.slice(2) : undefined
  const facts = { contentType: recall, timeSend: Math.floor(at / 1000), arrivedAt: at, isEncrypt: false }
  const text = messageType(recall).push
  const withdraws = known.map(({ messageId }) => messageId)
  await pushes.add([
    newPush(
      { messageId: eventId, conversation, from: by, ...(roomJid ? { roomJid } : {}), ...facts, text, withdraws },
      dueAt,
    ),
  ])
  pushWorker.wake(dueAt)
}
