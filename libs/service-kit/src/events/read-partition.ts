import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EventEnvelope } from '@im/contracts'
import type { ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg } from '@nats-io/jetstream'
import type { Bus, PartitionReader, StoredEvent, StreamPosition } from './bus.ts'

/** States of the client that mean the server has lost the consumer. Its own recovery would wait up to half a minute. */
const signsOfLoss = new Set(['heartbeats_missed', 'consumer_deleted', 'consumer_not_found', 'stream_not_found'])

/** Reads the events of some subjects of a stream after a position, with an ephemeral consumer. */
export async function readPartition(options: {
  js: JetStreamClient
  manager: JetStreamManager
  stream: string
  subjects: readonly string[]
  after: StreamPosition | undefined
  onConnection: Bus['onConnection']
}): Promise<PartitionReader> {
  const { js, manager, stream, after } = options
  const { created, state } = await manager.streams.info(stream)
  const isOther = after !== undefined && after.stream !== created
  const hasLost = isOther || (after !== undefined && after.sequence > state.last_seq)
  const read = after === undefined || isOther ? 0 : Math.min(after.sequence, state.last_seq)
  const [subject = '', ...others] = options.subjects
  const consumer = await js.consumers.get(stream, {
    // Servers before 2.10 accept only a single filter.
    filter_subjects: others.length ? [subject, ...others] : subject,
    opt_start_seq: read + 1,
    inactive_threshold: 60_000,
  })
  const messages = await consumer.consume({ max_messages: 100, idle_heartbeat: 2500, expires: 30_000 })
  void endWhenLost(messages)
  const reconnecting = options.onConnection((connected) => {
    if (connected) messages.stop()
  })
  return {
    hasLost,
    async *batches(most) {
      for await (const batch of inBatches(messages, most)) yield batch.map((message) => storedEvent(message, created))
    },
    close() {
      messages.stop()
      void reconnecting.close()
      // Otherwise the server keeps the consumer until it counts as inactive.
      consumer.delete().catch(() => {})
    },
  }
}

async function endWhenLost(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status()) if (signsOfLoss.has(type)) messages.stop()
}

/** Gives all messages that have arrived, up to `most` at a time. Waits only when there is none. */
async function* inBatches(messages: ConsumerMessages, most: number): AsyncGenerator<JsMsg[]> {
  const iterator = messages[Symbol.asyncIterator]()
  let next = iterator.next()
  for (;;) {
    const first = await next
    if (first.done) return
    const batch = [first.value]
    next = iterator.next()
    while (batch.length < most) {
      const more = await Promise.race([next, nextTurn()])
      if (!more || more.done) break
      batch.push(more.value)
      next = iterator.next()
    }
    yield batch
  }
}

function storedEvent(message: JsMsg, created: string): StoredEvent {
  const { streamSequence: sequence, pending: waiting } = message.info
  const { subject, data } = message
  return { position: { stream: created, sequence }, envelope: envelopeOf(message), subject, data, waiting }
}

function envelopeOf(message: JsMsg): EventEnvelope | undefined {
  try {
    const envelope = message.json<EventEnvelope>()
    return typeof envelope === 'object' && envelope !== null ? envelope : undefined
  } catch {
    return undefined
  }
}
