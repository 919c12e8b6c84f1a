import { type StreamSpec, streams } from '@im/contracts'
import type { ClientSession, Collection, Db, MongoClient } from 'mongodb'
import { isTransient } from '../http/failures.ts'
import { holdLease } from '../lease.ts'
import type { Logger } from '../logs.ts'
import { Counter, Gauge, type Registry } from '../metrics.ts'
import type { Replicas } from '../replicas.ts'
import { inTransaction } from '../transaction.ts'
import type { Bus } from './bus.ts'
import type { OutboxRow } from './outbox.ts'

const rowsAtOnce = 500
/** Commits wake the relay; this is for those whose process died before it did (ms). */
const pollEvery = 500
/** Tries to publish a row that is itself at fault, before it is set aside. */
const attempts = 3

export interface Relay {
  /** After a commit: publish now, here or in the replica that relays. */
  wake(): void
  close(): Promise<void>
}

/**
 * Publishes what the outbox holds and removes what JetStream has stored, stream by stream, so that one that is full does not
 * hold up the others. One replica at a time relays; a row that was published but not yet removed when the relay dies is
 * published again with the same id and number: JetStream stores it once, or its readers know its number.
 */
export function startOutboxRelay(options: {
  db: Db
  client: MongoClient
  replicas: Replicas
  bus: Bus
  log: Logger
  metrics: Registry
}): Relay {
  const { db, client, bus, log, metrics } = options
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
  const bells = Object.values<StreamSpec>(streams)
    .filter(({ service }) => service === bus.service)
    .map(({ name }) => ({ stream: name, bell: new Bell() }))
  const ringAll = (options?: { urgent: boolean }) => {
    for (const { bell } of bells) bell.ring(options)
  }
  const fromOthers = bus.onWake(topic, () => ringAll())
  const reconnection = bus.onConnection((connected) => {
    if (connected) ringAll({ urgent: true })
  })

  const lease = holdLease(options, {
    name: 'outbox',
    async work(signal) {
      await Promise.all(bells.map(({ stream, bell }) => relayStream(stream, bell, signal)))
    },
  })

  async function relayStream(stream: string, bell: Bell, signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      bell.mute()
      try {
        const published = await relayBatch(stream)
        failures = 0
        if (published > 0 || bell.hasRung) continue
      } catch (error) {
        if (!signal.aborted && failures === 0)
          log.warn({ err: error, stream }, 'the outbox could not be relayed; trying on')
        failures++
      }
      // While publishing fails a commit does not hurry it: the next try is near.
      const pause = failures ? Math.min(50 * 2 ** failures, 1000) : pollEvery
      await bell.wait(pause, { urgentOnly: failures > 0, signal })
    }
  }

  async function relayBatch(stream: string): Promise<number> {
    // In a transaction, so that it is one moment's view: an earlier event of an aggregate is never missed beside a later one.
    const batch = await inTransaction(client, (session) => oldestRows(rows, stream, session))
    const settled: string[] = []
    const outcomes = await Promise.allSettled(
      [...Map.groupBy(batch, (row) => row.aggregate).values()].map(async (events) => {
        // One after the other: a later event of an aggregate must not overtake an earlier one that failed.
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
    return settled.length
  }

  async function publishOrPark(row: OutboxRow): Promise<void> {
    const { _id: id, stream: _, ...event } = row
    for (let attempt = 1; ; attempt++) {
      try {
        return await bus.publish({ id, ...event })
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
    wake() {
      if (lease.held) ringAll()
      else bus.wake(topic)
    },
    async close() {
      await fromOthers.close()
      await reconnection.close()
      await lease.close()
    },
  }
}

/** About the oldest, and of each aggregate among them all that come first, in their order. */
async function oldestRows(rows: Collection<OutboxRow>, stream: string, session: ClientSession): Promise<OutboxRow[]> {
  const oldest = await rows.find({ stream }, { session }).sort({ at: 1 }).limit(rowsAtOnce).toArray()
  if (oldest.length < rowsAtOnce) return oldest.sort((a, b) => a.sequence - b.sequence)
  // Clocks of replicas differ: of an aggregate in the batch an earlier event may be outside of it.
  const aggregates = [...new Set(oldest.map(({ aggregate }) => aggregate))]
  return await rows
    .find({ stream, aggregate: { $in: aggregates } }, { session })
    .sort({ sequence: 1 })
    .limit(rowsAtOnce)
    .toArray()
}

/** Wakes who waits, and remembers that it rang while nobody did. */
class Bell {
  hasRung = false
  #onRing: (urgent: boolean) => void = () => {}

  ring({ urgent = false } = {}): void {
    this.hasRung = true
    this.#onRing(urgent)
  }

  mute(): void {
    this.hasRung = false
  }

  /** Resolves at a ring, after `ms`, or when `signal` aborts. */
  wait(ms: number, { urgentOnly, signal }: { urgentOnly: boolean; signal: AbortSignal }): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        this.#onRing = () => {}
        resolve()
      }
      // Not a wait with an abort signal: each commit ends one, and an AbortError costs more than the rest of it.
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end, { once: true })
      this.#onRing = (urgent) => {
        if (urgent || !urgentOnly) end()
      }
      if (signal.aborted) end()
    })
  }
}
