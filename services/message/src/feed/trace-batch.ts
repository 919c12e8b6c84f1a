import { SpanKind, type Tracing } from '@im/service-kit'
import type { Entry } from '../read/read-message.ts'

/**
 * The trace of what comes from XMPP servers: a span for a batch, within which its events are announced, and below it one for
 * each entry, from its arrival at the XMPP server until it is stored.
 */
export async function traceBatch(
  tracing: Tracing | undefined,
  entries: readonly Entry[],
  work: () => Promise<void>,
): Promise<void> {
  if (!tracing) return await work()
  const attributes = { 'messaging.batch.message_count': entries.length, 'im.log': entries[0]?.log ?? '' }
  await tracing.span('store messages', { kind: SpanKind.CONSUMER, attributes }, async () => {
    await work()
    for (const { stamp, seq } of entries) tracing.past('message', stamp, { 'im.seq': seq })
  })
}
