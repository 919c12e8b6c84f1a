import { randomBytes } from 'node:crypto'
import { type EventEnvelope, type EventType, hasStream, type Payload, streamOf } from '@im/contracts'
import type { AnyBulkWriteOperation, ClientSession, Collection, Db, Document, MongoClient } from 'mongodb'
import { ensureCollections, ensureIndexes } from '../mongo.ts'
import { beginByQuery } from '../stand-in.ts'
import { currentTraceParent } from '../tracing.ts'
import { inTransaction } from '../transaction.ts'
import type { Bus } from './bus.ts'
import { checkEvent } from './check-event.ts'
import { LaterWrites } from './later-writes.ts'
import { aggregateKey } from './partition.ts'
import { Sequences } from './sequences.ts'

/** One transaction: pass `session` to each write, and announce what the writes made true. */
export interface Change {
  readonly session: ClientSession
  /**
   * `aggregate` names the thing the event is about; its events arrive in the order in which their changes were committed.
   * Throws when the payload does not fit its schema or is larger than NATS takes; then nothing is committed.
   */
  announce<E extends EventType>(event: E, aggregate: string, payload: Payload<E>): void
  /**
   * A write of which nothing is asked. When the work is done such writes go to the server together, in their order and with the events:
   * each command of a transaction waits for the one before it. What this change reads does not show them. `ifTaken` makes the error of
   * the change when a unique key of what is written is taken.
   */
  later<T extends Document>(
    collection: Collection<T>,
    write: AnyBulkWriteOperation<T>,
    ifTaken?: (cause: unknown) => Error,
  ): void
  /** Sends these writes now, for what reads them in the same change. */
  flush(): Promise<void>
}

/** Changes and their events commit together, so no event is lost, and none is sent for a change that did not happen. */
export interface Outbox {
  /**
   * Runs `work` in a transaction. It runs again after a conflict, for `retryFor` (4 s), so it must have no other effects.
   */
  commit<T>(work: (change: Change) => Promise<T>, retryFor?: number): Promise<T>
  /** The number of the last event of each aggregate, as the transaction sees it. Aggregates without events are absent. */
  lastSequences(stream: string, aggregates: readonly string[], session: ClientSession): Promise<Map<string, number>>
}

/** An event that was committed and not yet published. */
export interface OutboxRow extends Omit<EventEnvelope, 'id'> {
  _id: string
  stream: string
  /** The trace in which it was announced. */
  traceParent?: string
}

export async function createOutbox(options: {
  db: Db
  client: MongoClient
  bus: Pick<Bus, 'service' | 'maxEventBytes'>
  /** Told after a commit of which streams it has announced events. */
  wake: (streams: ReadonlySet<string>) => void
}): Promise<Outbox> {
  const { db, client, bus, wake } = options
  const rows = db.collection<OutboxRow>('outbox')
  const sequences = new Sequences(db, 'sequences')
  await ensureCollections(db, ['outbox', 'sequences', 'handled_sequences', 'catch_ups'])
  await ensureIndexes(rows, [{ key: { stream: 1, sequence: 1 } }])

  /**
   * Takes the numbers within the transaction, so that two that announce events of one aggregate conflict. Returns the last one of
   * each.
   */
  async function store(
    events: readonly Omit<OutboxRow, 'sequence'>[],
    session: ClientSession,
    later = new LaterWrites(),
  ): Promise<Map<string, number>> {
    const byAggregate = [...Map.groupBy(events, aggregateKey)]
    const counts = new Map(byAggregate.map(([key, { length }]) => [key, length]))
    const lasts = await sequences.take(counts, session, later)
    const numbered = byAggregate.flatMap(([key, ofAggregate]) => {
      const before = (lasts.get(key) ?? 0) - ofAggregate.length
      return ofAggregate.map((row, n) => ({ ...row, sequence: before + n + 1 }))
    })
    if (later.isEmpty) await rows.insertMany(numbered, { session })
    else {
      for (const document of numbered) later.add(rows, { insertOne: { document } })
      await sendFirst(later, session)
    }
    return lasts
  }

  /** The first command of a transaction may be this one. */
  async function sendFirst(later: LaterWrites, session: ClientSession): Promise<void> {
    if (later.isEmpty) return
    await beginByQuery(rows, session)
    await later.send(client, session)
  }

  await inTransaction(client, numberOldRows)

  /** Numbers the rows of builds before events had numbers, in the order of `at` and `n`. */
  async function numberOldRows(session: ClientSession): Promise<void> {
    const old = await rows.find({ stream: null as never }, { session }).toArray()
    const known = (old as (OutboxRow & { n: number })[]).filter(({ name }) => hasStream(name))
    if (!known.length) return
    const inOrder = known.sort((a, b) => a.at - b.at || a.n - b.n)
    await rows.deleteMany({ _id: { $in: known.map(({ _id }) => _id) } }, { session })
    await store(
      inOrder.map(({ n: _, ...row }) => ({ ...row, stream: streamOf(row.name).name })),
      session,
    )
  }

  return {
    async commit(work, retryFor) {
      let streams = new Set<string>()
      let lasts = new Map<string, number>()
      const result = await inTransaction(
        client,
        async (session) => {
          const events: Omit<OutboxRow, 'sequence'>[] = []
          const later = new LaterWrites()
          const result = await work({
            session,
            announce: (event, aggregate, payload) => void events.push(newRow(bus, event, aggregate, payload)),
            later: (...write) => later.add(...write),
            flush: () => sendFirst(later, session),
          })
          streams = new Set(events.map(({ stream }) => stream))
          if (events.length) lasts = await store(events, session, later)
          else await sendFirst(later, session)
          return result
        },
        retryFor,
      )
      sequences.keep(lasts)
      if (streams.size) wake(streams)
      return result
    },
    async lastSequences(stream, aggregates, session) {
      const found = await sequences.lastOf(
        aggregates.map((aggregate) => `${stream}/${aggregate}`),
        session,
      )
      return new Map([...found].map(([key, last]) => [key.slice(stream.length + 1), last]))
    },
  }
}

function newRow<E extends EventType>(
  { service, maxEventBytes }: Pick<Bus, 'service' | 'maxEventBytes'>,
  event: E,
  aggregate: string,
  payload: Payload<E>,
): Omit<OutboxRow, 'sequence'> {
  checkEvent(event, payload)
  const { name } = event
  const stream = streamOf(name)
  if (stream.service !== service) throw new Error(`${name} is announced by ${stream.service}, not by ${service}`)
  const traceParent = currentTraceParent()
  const id = { _id: randomBytes(16).toString('hex'), ...(traceParent ? { traceParent } : {}) }
  const row = { ...id, stream: stream.name, name, at: Date.now(), aggregate }
  // The envelope also holds the sequence number.
  const bytes = Buffer.byteLength(JSON.stringify({ ...row, data: payload })) + 32
  if (bytes > maxEventBytes) throw new Error(`${name} has ${bytes} bytes; NATS takes ${maxEventBytes}`)
  return { ...row, data: payload }
}
