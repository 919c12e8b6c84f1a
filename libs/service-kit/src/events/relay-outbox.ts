import { type StreamSpec, streams } from '@im/contracts'
import type { Collection, Db } from 'mongodb'
import { isTransient } from '../http/failures.ts'
import { holdLease } from '../lease.ts'
import type { Logger } from '../logs.ts'
import { Counter, Gauge, type Registry } from '../metrics.ts'
import type { Replicas } from '../replicas.ts'
import type { Bus } from './bus.ts'
import type { OutboxRow } from './outbox.ts'
import { WakeUp } from './wake-up.ts'

const rowsAtOnce = 500
/** How often the outbox is looked at (ms), in case a process died after its commit and before it woke the relay. */
const pollEvery = 1000
/**
 * Pause (ms) after a batch. An event after a quiet moment goes at once; under load a batch has several events and costs as much
 * as one.
 */
const restAfterBatch = 20
/** Tries to publish a row that NATS refuses, before it is set aside. */
const attempts = 3

export interface Relay {
  /** To be called after a commit that announced events of these streams: the replica that relays publishes at once. */
  wake(streams: ReadonlySet<string>): void
  close(): Promise<void>
}

/**
 * Publishes the rows of the outbox and removes those that JetStream has stored. Streams are independent, so that a full one
 * does not hold up the others. One replica relays at a time. A row that was published but not removed when the relay died is
 * published again with the same id and number: JetStream drops it, or the readers recognise its number.
 */
export function startOutboxRelay(options: {
  db: Db
  replicas: Replicas
  bus: Bus
  log: Logger
  metrics: Registry
}): Relay {
  const { db, bus, log, metrics } = options
  const rows = db.collection<OutboxRow>('outbox')
  const parked = db.collection<OutboxRow & { reason: string }>('outbox_parked')
  new Gauge({
    name: 'im_outbox_rows',
    help: 'Events committed and not yet published',
    registers: [metrics],
    async collect() {
      this.set(await rows.estimatedDocumentCount().catch(() => -1))
    },
  })
  const parkedRows = new Counter({
    name: 'im_outbox_parked_total',
    help: 'Events that could not be published and were set aside in the collection outbox_parked',
    labelNames: ['event'],
    registers: [metrics],
  })

  const topic = `outbox.${bus.service}`
  const wakeUps = Object.values<StreamSpec>(streams)
    .filter(({ service }) => service === bus.service)
    .map(({ name }) => ({ stream: name, wakeUp: new WakeUp() }))
  // A service that announces nothing has nothing to relay, and no lease to take and give back for ever.
  if (!wakeUps.length) return { wake() {}, async close() {} }
  const wakeAll = (options?: { urgent: boolean }) => {
    for (const { wakeUp } of wakeUps) wakeUp.notify(options)
  }
  const fromOthers = bus.onWake(topic, () => wakeAll())
  let disconnected = new AbortController()
  const reconnection = bus.onConnection((connected) => {
    if (!connected) return disconnected.abort()
    disconnected = new AbortController()
    wakeAll({ urgent: true })
  })

  const lease = holdLease(options, {
    name: 'outbox',
    // A replica that alone lost NATS leaves the events to one that has it.
    isAble: () => !disconnected.signal.aborted,
    async work(signal) {
      const isOver = AbortSignal.any([signal, disconnected.signal])
      await Promise.all(wakeUps.map(({ stream, wakeUp }) => relayStream(stream, wakeUp, isOver)))
    },
  })

  async function relayStream(stream: string, wakeUp: WakeUp, signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      wakeUp.reset()
      try {
        const isFull = await relayBatch(stream)
        failures = 0
        if (isFull) continue
        await wakeUp.wait(restAfterBatch, { urgentOnly: true, signal })
        if (wakeUp.isNotified) continue
      } catch (error) {
        if (!signal.aborted && failures === 0)
          log.warn({ err: error, stream }, 'the outbox could not be relayed; trying on')
        failures++
      }
      // While publishing fails, a commit does not end the pause: the next try comes soon.
      const pause = failures ? Math.min(50 * 2 ** failures, 1000) : pollEvery
      await wakeUp.wait(pause, { urgentOnly: failures > 0, signal })
    }
  }

  /** Returns true when the batch was full, so that more rows may wait behind it. */
  async function relayBatch(stream: string): Promise<boolean> {
    const batch = await oldestRows(rows, stream)
    const settled: string[] = []
    const outcomes = await Promise.allSettled(
      [...Map.groupBy(batch, (row) => row.aggregate).values()].map(async (events) => {
        // One at a time: a later event of an aggregate must not overtake an earlier one that failed.
        for (const row of events) {
          if (!lease.held) return
          await publishOrPark(row)
          settled.push(row._id)
        }
      }),
    )
    if (settled.length) await rows.deleteMany({ _id: { $in: settled } })
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed) throw failed.reason
    return batch.length >= rowsAtOnce
  }

  async function publishOrPark(row: OutboxRow): Promise<void> {
    const { _id: id, name, at, aggregate, sequence, data, traceParent } = row
    for (let attempt = 1; ; attempt++) {
      try {
        return await bus.publish({ id, name, at, aggregate, sequence, data }, traceParent)
      } catch (error) {
        if (isTransient(error)) throw error
        if (attempt < attempts) continue
        await parked.replaceOne({ _id: id }, { ...row, reason: String(error) }, { upsert: true })
        parkedRows.inc({ event: row.name })
        log.error({ err: error, event: row.name, eventId: id }, 'an event could not be published and was set aside')
        return
      }
    }
  }

  return {
    wake(streams) {
      if (!lease.held) bus.wake(topic)
      else for (const { stream, wakeUp } of wakeUps) if (streams.has(stream)) wakeUp.notify()
    },
    async close() {
      await fromOthers.close()
      await reconnection.close()
      await lease.close()
    },
  }
}

/** One moment's view, so that an earlier event of an aggregate is never missed while a later one is read. */
const readConcern = { level: 'snapshot' } as const

/**
 * The rows with the lowest numbers: an earlier event of an aggregate is never left out. As numbers follow the clock, they are
 * about the oldest ones, so no aggregate waits for others for long.
 */
const oldestRows = (rows: Collection<OutboxRow>, stream: string): Promise<OutboxRow[]> =>
  rows.find({ stream }, { readConcern }).sort({ sequence: 1 }).limit(rowsAtOnce).toArray()
