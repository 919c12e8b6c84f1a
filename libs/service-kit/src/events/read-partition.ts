import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EventEnvelope } from '@im/contracts'
import type { ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg, StreamInfo } from '@nats-io/jetstream'
import { traceHeader } from '../tracing.ts'
import type { Bus, PartitionReader, StoredEvent, StreamPosition } from './bus.ts'

/** States of the client that mean the server has lost the consumer. Its own recovery would wait up to half a minute. */
const signsOfLoss = new Set(['heartbeats_missed', 'consumer_deleted', 'consumer_not_found', 'stream_not_found'])

/** Reads the events of some subjects of a stream after a position, with an ephemeral consumer. */
export async function readPartition(options: {
  js: JetStreamClient
  manager: JetStreamManager
  /** Asks the server after this call. */
  infoOf: (stream: string) => Promise<StreamInfo>
  stream: string
  subjects: readonly string[]
  after: StreamPosition | undefined
  onConnection: Bus['onConnection']
}): Promise<PartitionReader> {
  const { js, manager, stream, after } = options
  const { created, state } = await options.infoOf(stream)
  let restart: StreamPosition | undefined
  if (after && after.stream !== created) restart = { stream: created, sequence: 0 }
  else if (after && (await hasLostEnd(manager, stream, after, state.last_seq)))
    restart = { stream: created, sequence: await lastBefore(js, stream, after.at ?? 0) }
  const { sequence: read } = restart ?? after ?? { sequence: 0 }
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
    restart,
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

/** A server that came back in an older state gives the numbers of the events that it lost to others. */
async function hasLostEnd(
  manager: JetStreamManager,
  stream: string,
  { sequence, at }: StreamPosition,
  last: number,
): Promise<boolean> {
  if (sequence > last) return true
  if (sequence === 0 || at === undefined) return false
  const stored = await manager.streams.getMessage(stream, { seq: sequence })
  // The client rounds one of the two times.
  return stored !== null && stored.time.getTime() > at + 1
}

/** The number of the last event that was stored before a time (ms). */
async function lastBefore(js: JetStreamClient, stream: string, at: number): Promise<number> {
  const consumer = await js.consumers.get(stream, { opt_start_time: new Date(at).toISOString() })
  const { delivered } = await consumer.info()
  consumer.delete().catch(() => {})
  return delivered.stream_seq
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
  const position = { stream: created, sequence, at: message.time.getTime() }
  const traceParent = message.headers?.get(traceHeader) || undefined
  return { position, envelope: envelopeOf(message), subject, data, traceParent, waiting }
}

function envelopeOf(message: JsMsg): EventEnvelope | undefined {
  try {
    const envelope = message.json<EventEnvelope>()
    return typeof envelope === 'object' && envelope !== null ? envelope : undefined
  } catch {
    return undefined
  }
}
