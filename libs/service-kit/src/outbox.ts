import { randomBytes } from 'node:crypto'
import { ContractError, type EventEnvelope, type EventType, type Payload } from '@im/contracts'
import type { ClientSession, Collection, Db, MongoClient } from 'mongodb'
import type { Bus } from './bus.ts'
import { checkEvent } from './check-event.ts'
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
  /**
   * Like `commit`, for the handling of an event: remembers the event's id in the same transaction and does nothing when it
   * is known already. True when `work` was done by this call.
   */
  once(eventId: string, work: (change: Change) => Promise<unknown>): Promise<boolean>
}

/** The `handle` of a subscription whose changes happen once per event, however often it is delivered. */
export function handleOnce<P>(
  outbox: Outbox,
  work: (payload: P, change: Change, envelope: EventEnvelope<P>) => Promise<unknown>,
): (payload: P, envelope: EventEnvelope<P>) => Promise<void> {
  return async (payload, envelope) => {
    await outbox.once(envelope.id, (change) => work(payload, change, envelope))
  }
}

interface OutboxRow extends Omit<EventEnvelope, 'id'> {
  _id: string
  /** Order within one millisecond of one process. */
  n: number
}

let announced = 0

/** How long a change is tried again (ms); the driver alone would go on for two minutes. */
const retryFor = 10_000
/** Longer than any stream keeps an event. */
const rememberSeconds = 14 * 86_400

export async function createOutbox(options: { db: Db; client: MongoClient; wake: () => void }): Promise<Outbox> {
  const { db, client, wake } = options
  const rows = db.collection<OutboxRow>('outbox')
  const handled = db.collection<{ _id: string; at: Date }>('handled_events')
  await ensureIndexes(rows, [{ key: { at: 1, n: 1 } }])
  await ensureIndexes(handled, [{ key: { at: 1 }, expireAfterSeconds: rememberSeconds }])

  async function commit<T>(work: (change: Change) => Promise<T>): Promise<T> {
    const session = client.startSession()
    const giveUpAt = Date.now() + retryFor
    let failure: unknown
    let hasEvents = false
    try {
      return await session.withTransaction(async () => {
        if (failure !== undefined && Date.now() > giveUpAt)
          throw new ContractError('ServiceUnavailable', { detail: 'too much contention', cause: failure })
        try {
          const events: OutboxRow[] = []
          const announce: Change['announce'] = (event, aggregate, payload) =>
            void events.push(newRow(event, aggregate, payload))
          const result = await work({ session, announce })
          hasEvents = events.length > 0
          if (hasEvents) await rows.insertMany(events, { session })
          return result
        } catch (error) {
          failure = error
          throw error
        }
      })
    } finally {
      await session.endSession()
      if (hasEvents) wake()
    }
  }

  return {
    commit,
    once: (eventId, work) =>
      commit(async (change) => {
        const { session } = change
        if (await handled.findOne({ _id: eventId }, { session })) return false
        await handled.insertOne({ _id: eventId, at: new Date() }, { session })
        await work(change)
        return true
      }),
  }
}

function newRow<E extends EventType>(event: E, aggregate: string, payload: Payload<E>): OutboxRow {
  checkEvent(event, payload)
  return {
    _id: randomBytes(16).toString('hex'),
    name: event.name,
    at: Date.now(),
    n: announced++,
    aggregate,
    data: payload,
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
  let hurry = () => {}
  const reconnection = bus.onConnection((connected) => connected && hurry())
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
    // Short: after a crash of the holder its events wait that long, and relaying twice for a moment stores nothing twice.
    ttl: 2000,
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
          if (!signal.aborted && failures === 0) log.warn({ err: error }, 'the outbox could not be relayed; trying on')
          failures++
        }
        const { promise: slept, resolve } = Promise.withResolvers<void>()
        const wakeUp = () => resolve()
        hurry = wakeUp
        signal.addEventListener('abort', wakeUp, { once: true })
        // While publishing fails a commit does not hurry it: the next try is near.
        if (!failures) woken = wakeUp
        const pause = failures ? Math.min(50 * 2 ** failures, 1000) : 500
        // Not a wait with an abort signal: each commit ends one, and an AbortError costs more than the rest of it.
        const timer = setTimeout(wakeUp, pause)
        if (!signal.aborted) await slept
        clearTimeout(timer)
        woken = () => {}
        signal.removeEventListener('abort', wakeUp)
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
      await reconnection.close()
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
