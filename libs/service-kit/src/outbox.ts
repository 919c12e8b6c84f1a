import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventEnvelope, EventType, Payload } from '@im/contracts'
import type { ClientSession, Collection, Db, MongoClient } from 'mongodb'
import type { Bus } from './bus.ts'
import { holdLease } from './lease.ts'
import type { Logger } from './logs.ts'
import { Gauge, type Registry } from './metrics.ts'
import { ensureIndexes } from './mongo.ts'
import type { Redis } from './redis.ts'

/** What happens in one transaction: pass `session` to each write, and announce what became true by them. */
export interface Change {
  readonly session: ClientSession
  /** `aggregate` names the thing the event is about; events of one aggregate keep their order. Call it after the writes. */
  announce<E extends EventType>(event: E, aggregate: string, payload: Payload<E>): void
}

/** Changes and their events commit together, so an event is never lost and never tells of what did not happen. */
export interface Outbox {
  /** Runs `work` in a transaction, again from its start on a conflict: it must have no other effects. */
  commit<T>(work: (change: Change) => Promise<T>): Promise<T>
}

interface OutboxRow extends Omit<EventEnvelope, 'id'> {
  _id: string
  /** Order within one millisecond of one process. */
  n: number
}

let announced = 0

export async function createOutbox(options: { db: Db; client: MongoClient; wake: () => void }): Promise<Outbox> {
  const { db, client, wake } = options
  const rows = db.collection<OutboxRow>('outbox')
  await ensureIndexes(rows, [{ key: { at: 1, n: 1 } }])
  return {
    async commit(work) {
      const session = client.startSession()
      let hasEvents = false
      try {
        return await session.withTransaction(async () => {
          const events: OutboxRow[] = []
          const result = await work({
            session,
            announce: (event, aggregate, payload) => {
              events.push({
                _id: randomBytes(16).toString('hex'),
                name: event.name,
                at: Date.now(),
                n: announced++,
                aggregate,
                data: payload,
              })
            },
          })
          hasEvents = events.length > 0
          if (hasEvents) await rows.insertMany(events, { session })
          return result
        })
      } finally {
        await session.endSession()
        if (hasEvents) wake()
      }
    },
  }
}

/**
 * Publishes what the outbox holds, oldest first, and removes what JetStream has stored. One replica at a time relays; a row
 * that was published but not yet removed when the relay dies is published again with the same id, which stores nothing.
 */
export function startOutboxRelay(options: {
  db: Db
  redis: Redis
  bus: Bus
  service: string
  log: Logger
  metrics: Registry
}): { wake(): void; close(): Promise<void> } {
  const { db, bus, log, service } = options
  const rows = db.collection<OutboxRow>('outbox')
  let woken = () => {}
  let rung = false
  const ring = () => {
    rung = true
    woken()
  }
  const fromOthers = bus.onWake(`outbox.${service}`, ring)
  new Gauge({
    name: 'im_outbox_rows',
    help: 'Events committed and not yet published',
    registers: [options.metrics],
    async collect() {
      this.set(await rows.estimatedDocumentCount().catch(() => -1))
    },
  })

  const lease = holdLease({
    redis: options.redis,
    name: `outbox-${service}`,
    log,
    async work(signal) {
      let failures = 0
      while (!signal.aborted) {
        rung = false
        try {
          const published = await relayBatch(rows, bus)
          failures = 0
          if (published > 0 || rung) continue
        } catch (error) {
          failures++
          if (!signal.aborted) log.warn({ err: error }, 'the outbox could not be relayed; trying again')
        }
        const pause = failures ? Math.min(200 * 2 ** failures, 5000) : 500
        const slept = new AbortController()
        woken = () => slept.abort()
        await delay(pause, undefined, { signal: AbortSignal.any([signal, slept.signal]) }).catch(() => {})
        woken = () => {}
      }
    },
  })

  return {
    /** After a commit: publish now, here or in the replica that holds the lease. */
    wake() {
      if (lease.held) ring()
      else bus.wake(`outbox.${service}`)
    },
    async close() {
      await fromOthers.close()
      await lease.close()
    },
  }
}

async function relayBatch(rows: Collection<OutboxRow>, bus: Bus): Promise<number> {
  const batch = await rows.find().sort({ at: 1, n: 1 }).limit(500).toArray()
  if (!batch.length) return 0
  const byAggregate = Map.groupBy(batch, (row) => row.aggregate)
  const published: string[] = []
  const outcomes = await Promise.allSettled(
    [...byAggregate.values()].map(async (events) => {
      // One after the other on purpose: a later event of an aggregate must not overtake an earlier one that failed.
      for (const { _id, n: _, ...event } of events) {
        await bus.publish({ id: _id, ...event })
        published.push(_id)
      }
    }),
  )
  if (published.length) await rows.deleteMany({ _id: { $in: published } })
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  return published.length
}
