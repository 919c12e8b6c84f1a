import { setTimeout as delay } from 'node:timers/promises'
import { type EventEnvelope, streamOf } from '@im/contracts'
import { beforeDeadline } from '../before-deadline.ts'
import { isTransient } from '../http/failures.ts'
import { SpanKind } from '../tracing.ts'
import type { PartitionReader, StoredEvent } from './bus.ts'
import { catchUpTopic } from './catch-ups.ts'
import type { EventHandler } from './event-handler.ts'
import type { EventWiring } from './handle-events.ts'
import type { Change } from './outbox.ts'
import { aggregateKey, handledKey } from './partition.ts'
import { type ReadState, type Shard, ShardLostError } from './shards.ts'
import { isMissingStream } from './streams.ts'

const eventsAtOnce = 100
/** How long (ms) a transaction of several events is tried again after conflicts, before one of fewer is tried. */
const retrySeveralFor = 500
/** A transaction takes no more events after this time (ms). */
const transactionBudget = 200
/**
 * How long (ms) after an event that need not be handled exactly once its position is stored. After a crash the events since
 * then are handled again; storing the position after each would cost more than most of them.
 */
const saveAfter = 1000
/** The same for events without a handler. */
const passedEvery = 60_000

/** How often (ms) the time of a position is renewed while no event moves it. */
export const touchEvery = 3_600_000

const backOff = (tries: number) => Math.min(50 * 2 ** tries, 5000)

type Outcome = 'done' | 'repeated' | 'failed' | 'dead'

/** Handles the events of one partition in their order. */
export class ShardHandling {
  readonly #wiring: EventWiring
  readonly #shard: Shard
  readonly #signal: AbortSignal
  /** What was known when the shard was taken, until reading has begun. */
  #taken: ReadState | undefined
  /** Tries of the event at the head, and how many of them failed although every store was there. */
  #tries = 0
  #faults = 0
  /** Events in a transaction: fewer after a conflict, so that a long transaction does not lose to short ones for ever. */
  #atOnce = eventsAtOnce
  /** The last settled event, when its position is not stored yet. */
  #unsaved: StoredEvent | undefined
  #savedAt = 0
  #saveTimer: NodeJS.Timeout | undefined
  #saving: Promise<void> | undefined
  /** Every event of the partition was handled. */
  isIdle = false

  /** `state` is that of the shard when it was taken. */
  constructor(wiring: EventWiring, shard: Shard, state: ReadState, signal: AbortSignal) {
    this.#wiring = wiring
    this.#shard = shard
    this.#taken = state
    this.#signal = signal
  }

  /** Ends when `signal` aborts or another replica has taken the shard. */
  async run(): Promise<void> {
    const { log } = this.#wiring
    for (let failures = 0; !this.#signal.aborted; failures++) {
      try {
        if (await this.#readOn()) failures = 0
      } catch (error) {
        if (this.#signal.aborted || error instanceof ShardLostError) return
        // The service that publishes may not have been started yet.
        const level = isMissingStream(error) ? 'debug' : 'warn'
        log[level]({ err: error, shard: this.#shard.id }, 'events could not be read on; trying again')
      }
      this.isIdle = false
      await this.#pause(failures)
    }
  }

  /** Reads until the reader has to be opened again. Returns whether anything was handled. */
  async #readOn(): Promise<boolean> {
    let hasHandled = false
    const reader = await this.#open()
    const close = () => reader.close()
    this.#signal.addEventListener('abort', close, { once: true })
    try {
      if (this.#signal.aborted) return false
      this.isIdle = true
      for await (const batch of reader.batches(eventsAtOnce)) {
        this.isIdle = false
        await this.#handleBatch(batch)
        if (this.#signal.aborted) break
        hasHandled = true
        this.isIdle = true
      }
      this.isIdle = false
      await this.#saveNow()
      return hasHandled
    } finally {
      clearTimeout(this.#saveTimer)
      this.#signal.removeEventListener('abort', close)
      close()
    }
  }

  async #open(): Promise<PartitionReader> {
    const { bus, shards, handlers, metrics, log } = this.#wiring
    const { id, stream, partition } = this.#shard
    const { position, readAt } = this.#taken ?? (await shards.stateOf(id))
    const events = [...handlers.keys()].filter((name) => streamOf(name).name === stream.name)
    const reader = await bus.read({ stream, partition, after: position, events })
    this.#taken = undefined
    const { restart } = reader
    const readBefore = readAt === undefined ? 0 : Date.now() - readAt.getTime()
    const isTooOld = readBefore > stream.maxAgeSeconds * 1000
    if (restart || isTooOld) {
      metrics.lost.inc({ shard: id })
      log.error(
        { shard: id, position, readAt },
        'the stream no longer has all events since the last one that was handled',
      )
      await this.#wiring.catchUps.beginAnew(stream.name)
      bus.wake(catchUpTopic(bus))
    }
    // The loss is recorded now, and the growing stream may reach the old place again.
    if (restart) await shards.move(id, restart)
    else if (readAt === undefined || readBefore > touchEvery) await shards.touch(id)
    this.#unsaved = undefined
    this.#saving = undefined
    this.#savedAt = performance.now()
    return reader
  }

  async #handleBatch(batch: readonly StoredEvent[]): Promise<void> {
    await this.#saving
    let rest = batch
    try {
      while (rest.length && !this.#signal.aborted) {
        this.#wiring.metrics.waiting.set({ shard: this.#shard.id }, rest.length + (batch.at(-1)?.waiting ?? 0))
        const settled = await this.#handleHead(rest)
        if (settled) this.#tries = this.#faults = 0
        rest = rest.slice(settled)
      }
    } finally {
      await this.#saveInTime()
    }
    this.#wiring.metrics.waiting.set({ shard: this.#shard.id }, batch.at(-1)?.waiting ?? 0)
  }

  /** Saves at the end of a batch, or a little later when the next one may do it. */
  async #saveInTime(): Promise<void> {
    clearTimeout(this.#saveTimer)
    const wait = this.#savedAt + saveAfter - performance.now()
    if (wait <= 0) return await this.#saveNow()
    if (!this.#unsaved) return
    this.#saveTimer = setTimeout(() => {
      if (!this.isIdle) return
      this.#saving = this.#saveNow()
      // The next batch waits for it and sees the error.
      this.#saving.catch(() => {})
    }, wait)
  }

  async #saveNow(): Promise<void> {
    await this.#saving
    if (this.#unsaved) await this.#save(this.#unsaved)
  }

  async #save({ position }: StoredEvent): Promise<void> {
    await this.#wiring.shards.move(this.#shard.id, position)
    this.#unsaved = undefined
    this.#savedAt = performance.now()
  }

  /** Returns how many events from the head on were handled, skipped or parked. 0: the head has to be tried again. */
  async #handleHead(events: readonly [StoredEvent, ...StoredEvent[]] | readonly StoredEvent[]): Promise<number> {
    const [head] = events
    if (!head) return 0
    if (!head.envelope)
      return await this.#settle([head], () => this.#park(head, new Error('the message is not an event')))
    const [handler] = this.#handlersOf(head)
    if (!handler) {
      if (performance.now() - this.#savedAt > passedEvery) this.#unsaved = head
      return 1
    }
    if (!handler.transactional) {
      const others = events.findIndex((event) => this.#handlersOf(event)[0] !== handler)
      const same = events.slice(0, others < 0 ? events.length : others)
      const run = same.slice(0, this.#tries ? 1 : handler.atOnce)
      return await this.#settle(run, () => this.#handle(run, handler))
    }
    const end = events.findIndex((event) => !event.envelope || this.#handlersOf(event)[0]?.transactional === false)
    const run = events.slice(0, end < 0 ? events.length : end)
    return await this.#commit(run.slice(0, this.#faults ? 1 : this.#atOnce))
  }

  #handlersOf({ envelope }: StoredEvent): readonly EventHandler[] {
    return (envelope && this.#wiring.handlers.get(envelope.name)) ?? []
  }

  /** The handlers of a transactional event, and under which key each keeps the number of the last event. */
  #keyedHandlersOf(event: StoredEvent) {
    return this.#handlersOf(event).flatMap((handler) =>
      event.envelope && handler.transactional
        ? [{ handler, key: handledKey(aggregateKey(event.envelope), handler.projection?.name) }]
        : [],
    )
  }

  async #settle(run: readonly StoredEvent[], work: () => Promise<void>): Promise<number> {
    const head = run[0]!
    try {
      await work()
    } catch (error) {
      if (!(await this.#isParkedAfter(head, error, run.length === 1))) return 0
      this.#unsaved = head
      return 1
    }
    this.#unsaved = run.at(-1)
    return run.length
  }

  async #handle(run: readonly StoredEvent[], handler: EventHandler & { transactional: false }): Promise<void> {
    const envelopes = run.map(({ envelope }) => envelope as EventEnvelope<never>)
    await this.#traced(run[0]!, () => inTime(handler, handler.handle(envelopes)))
    for (const envelope of envelopes) this.#count(envelope, 'done')
  }

  /** Goes on with the trace in which the event was announced. */
  async #traced<T>({ envelope, traceParent: parent }: StoredEvent, work: () => Promise<T>): Promise<T> {
    const { tracing } = this.#wiring
    return tracing
      ? await tracing.span(`handle ${envelope?.name}`, { kind: SpanKind.CONSUMER, parent }, work)
      : await work()
  }

  /** Handles events from the head on in one transaction that also stores the new position. */
  async #commit(run: readonly StoredEvent[]): Promise<number> {
    const { outbox, shards } = this.#wiring
    let outcomes: Outcome[] = []
    let isHandling = false
    try {
      await outbox.commit(
        async (change) => {
          outcomes = []
          isHandling = false
          const startedAt = performance.now()
          const known = await this.#knownSequences(run, change)
          const fresh = new Map<string, number>()
          for (const event of run) {
            if (outcomes.length && performance.now() - startedAt > transactionBudget) break
            const envelope = event.envelope as EventEnvelope<never>
            const due = this.#keyedHandlersOf(event).filter(
              ({ key }) => !(envelope.sequence <= (fresh.get(key) ?? known.get(key) ?? 0)),
            )
            isHandling = true
            for (const { handler, key } of due) {
              await this.#traced(event, () => inTime(handler, handler.handle(envelope.data, change, envelope)))
              fresh.set(key, envelope.sequence)
            }
            isHandling = false
            outcomes.push(due.length || !this.#handlersOf(event).length ? 'done' : 'repeated')
          }
          await this.#wiring.handled.store(fresh, change.session)
          await shards.move(this.#shard.id, positionAfter(run, outcomes.length), change.session)
        },
        run.length > 1 ? retrySeveralFor : undefined,
      )
    } catch (error) {
      return await this.#shorten(run, outcomes.length, isHandling, error)
    }
    this.#unsaved = undefined
    this.#savedAt = performance.now()
    this.#atOnce = Math.min(this.#atOnce + 1, eventsAtOnce)
    for (const [n, outcome] of outcomes.entries()) {
      const event = run[n]
      if (event?.envelope && this.#handlersOf(event).length) this.#count(event.envelope, outcome)
    }
    return outcomes.length
  }

  async #knownSequences(run: readonly StoredEvent[], { session }: Change): Promise<Map<string, number>> {
    const keys = run.flatMap((event) => this.#keyedHandlersOf(event).map(({ key }) => key))
    return await this.#wiring.handled.lastOf(keys, session)
  }

  /** After a failed transaction: commits the events before the one at fault, which is then tried alone. */
  async #shorten(run: readonly StoredEvent[], done: number, isHandling: boolean, error: unknown): Promise<number> {
    if (error instanceof ShardLostError) throw error
    const [head] = run
    if (!head) throw error
    if (isTransient(error)) this.#atOnce = Math.ceil((done || run.length) / 2)
    else {
      if (isHandling && done > 0) return await this.#commit(run.slice(0, done))
      if (!isHandling && run.length > 1) return await this.#commit([head])
    }
    if (!(await this.#isParkedAfter(head, error))) return 0
    await this.#save(head)
    return 1
  }

  /** Returns whether the event has used up its tries and was parked as a dead letter. Otherwise waits before the next try. */
  async #isParkedAfter(event: StoredEvent, error: unknown, wasAlone = true): Promise<boolean> {
    const { log } = this.#wiring
    const name = event.envelope?.name
    const attempts = Math.max(1, ...this.#handlersOf(event).map((handler) => handler.attempts))
    if (wasAlone && !isTransient(error)) this.#faults++
    if (event.envelope) this.#count(event.envelope, 'failed')
    log.warn({ err: error, event: name, eventId: event.envelope?.id, tries: this.#tries }, 'could not handle an event')
    if (this.#faults >= attempts) {
      try {
        await this.#park(event, error)
        return true
      } catch (cause) {
        log.warn({ err: cause, event: name }, 'a dead letter could not be stored; trying again')
      }
    }
    await this.#pause(this.#tries++)
    return false
  }

  /** Puts an event that can't be handled aside for an operator, so that it does not stop those behind it. */
  async #park(event: StoredEvent, error: unknown): Promise<void> {
    const { bus, log, metrics } = this.#wiring
    await bus.park(event)
    metrics.handled.inc({ event: event.envelope?.name ?? 'unreadable', outcome: 'dead' })
    log.error({ err: error, subject: event.subject, eventId: event.envelope?.id }, 'an event went to the dead letters')
  }

  #count(envelope: EventEnvelope, outcome: Outcome): void {
    const { handled, delay: delays } = this.#wiring.metrics
    handled.inc({ event: envelope.name, outcome })
    if (outcome === 'done') delays.observe({ event: envelope.name }, Math.max(0, Date.now() - envelope.at) / 1000)
  }

  async #pause(tries: number): Promise<void> {
    await delay(backOff(tries), undefined, { signal: this.#signal }).catch(() => {})
  }
}

const inTime = ({ event: { name }, timeoutMs }: EventHandler, work: Promise<unknown>) =>
  beforeDeadline(timeoutMs, () => new Error(`the handler of ${name} was not done after ${timeoutMs} ms`), work)

function positionAfter(run: readonly StoredEvent[], count: number) {
  const last = run[count - 1]
  if (!last) throw new Error('a transaction without an event')
  return last.position
}
