import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import { nothing, type Step } from '../deliver/step.ts'
import { type Entry, readSender, type Sender } from '../read/read-message.ts'
import type { EntryMarks } from './entry-marks.ts'
import type { FeedMetrics } from './feed-metrics.ts'
import { isPassing, isRefusedData } from './refused-data.ts'

export interface PipelineOptions<W> {
  marks: EntryMarks
  maxBatch: number
  /** Reads and decides; a promise when a fact has to be asked for. */
  prepare(entry: Entry, sender: Sender): Step<W> | Promise<Step<W>>
  /** Writes what the steps of these entries need written, in one go. */
  write(writes: readonly W[], entries: readonly Entry[]): Promise<void>
  /** Keeps an entry aside whole. */
  park(entry: Entry, error: unknown): Promise<void>
  /** Too many entries in a row failed by our fault: nothing more may be taken. */
  giveUp(error: Error): void
  log: Logger
  metrics: FeedMetrics
}

interface Item<W> {
  entry: Entry
  sender: number
  step: Step<W> | undefined
  /** Held back: it waits for a fact, or behind one that does. */
  isWaiting: boolean
}

/** So many entries may wait for facts without holding the window of the others. */
const mostWaiting = 4096
/** So many in a row that we failed on are a bug of ours, not bad luck. */
const mostParkedInRow = 20
/**
 * A batch costs a write to the disk and several commands however small it is. When entries came during the last one, they wait a
 * moment (ms) while they are fewer than this; a message that comes alone never waits.
 */
const worthwhileBatch = 64
const gatherFor = 4
/** Between two tries at what a store that was away has to do (ms): whoever waits should not wait much longer than it is away. */
const longestPause = 1000
/** Bodies are up to 64 KiB: so many characters are enough for one transaction (MongoDB holds it in its cache). */
const batchTextLength = 512 * 1024

/**
 * Takes the entries of one log in order: reads each, decides, writes those that must be stored in batches, then sends what
 * comes of them. Entries of one sender keep their order; one that waits for a fact holds back its sender and nobody else.
 */
export class Pipeline<W> {
  readonly #options: PipelineOptions<W>
  /** Senders with an entry that waits, and what they sent since. */
  readonly #lanes = new Map<number, Item<W>[]>()
  #waiting = 0
  #ready: Item<W>[] = []
  #working: Promise<void> | undefined
  #parkedInRow = 0
  readonly #unsettled = new Set<number>()
  readonly #closing = new AbortController()

  constructor(options: PipelineOptions<W>) {
    this.#options = options
  }

  take(entry: Entry): void {
    if (this.#closing.signal.aborted) return
    const { metrics } = this.#options
    let item: Item<W>
    try {
      const sender = readSender(entry)
      item = { entry, sender: sender.user, step: undefined, isWaiting: false }
      const step = this.#options.prepare(entry, sender)
      if (step instanceof Promise) {
        this.#wait(item, step)
        return
      }
      item.step = step
      this.#parkedInRow = 0
    } catch (error) {
      item = { entry, sender: 0, step: this.#parked(entry, error), isWaiting: false }
    }
    const lane = this.#lanes.get(item.sender)
    if (lane) {
      this.#hold(lane, item)
      return
    }
    this.#ready.push(item)
    metrics.queued.set(this.#ready.length)
    this.#wake()
  }

  #wait(item: Item<W>, deciding: Promise<Step<W>>): void {
    const lane = this.#lanes.get(item.sender)
    if (lane) this.#hold(lane, item)
    else {
      const own: Item<W>[] = []
      this.#lanes.set(item.sender, own)
      this.#hold(own, item)
    }
    void this.#decide(item, deciding)
  }

  /** A decision that fails because a store is away is tried again: nothing is known of the entry yet, and nothing is its fault. */
  async #decide(item: Item<W>, deciding: Promise<Step<W>>): Promise<void> {
    const { log, metrics, prepare } = this.#options
    for (let attempt = 0; !item.step; attempt++) {
      try {
        item.step = await (attempt ? prepare(item.entry, readSender(item.entry)) : deciding)
        this.#parkedInRow = 0
      } catch (error) {
        if (!isPassing(error)) item.step = this.#parked(item.entry, error)
        else {
          metrics.failures.inc()
          if (attempt === 0) log.warn({ reason: String(error) }, 'an entry could not be decided on; trying again')
          await delay(Math.min(100 * 2 ** Math.min(attempt, 10), longestPause), undefined, {
            signal: this.#closing.signal,
          }).catch(() => {})
          // Whoever takes the server over decides.
          if (this.#closing.signal.aborted) return
        }
      }
    }
    this.#advance(item.sender)
  }

  #hold(lane: Item<W>[], item: Item<W>): void {
    lane.push(item)
    item.isWaiting = true
    this.#waiting++
    this.#options.metrics.waiting.set(this.#waiting)
    if (this.#waiting <= mostWaiting) this.#options.marks.takeInHand(item.entry.seq)
  }

  /** Entries of a sender go on, as far as they are decided. */
  #advance(sender: number): void {
    const lane = this.#lanes.get(sender)
    if (!lane) return
    let count = 0
    while (count < lane.length && lane[count]!.step) count++
    for (const item of lane.splice(0, count)) {
      this.#waiting--
      this.#ready.push(item)
    }
    if (!lane.length) this.#lanes.delete(sender)
    this.#options.metrics.waiting.set(this.#waiting)
    this.#wake()
  }

  #wake(): void {
    // Not at once: the entries of one network read are parsed in one go and belong in one batch.
    this.#working ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#work())
  }

  async #work(): Promise<void> {
    const { log, giveUp } = this.#options
    try {
      while (this.#ready.length && !this.#closing.signal.aborted) {
        const batch = this.#ready.splice(0, this.#batchLength())
        if (!(await this.#writeAndRun(batch))) return
        const { length } = this.#ready
        if (length && length < worthwhileBatch && batch.some(({ step }) => step?.write)) await delay(gatherFor)
      }
    } catch (error) {
      log.error({ err: error }, 'the feed stopped')
      giveUp(error as Error)
    } finally {
      this.#working = undefined
      if (this.#ready.length && !this.#closing.signal.aborted) this.#wake()
    }
  }

  /** How many of the ready entries make a batch: the texts of one transaction have a bound, too. */
  #batchLength(): number {
    let [length, size] = [0, 0]
    while (length < Math.min(this.#ready.length, this.#options.maxBatch)) {
      size += this.#ready[length]!.step?.size ?? 0
      if (length > 0 && size > batchTextLength) break
      length++
    }
    return length
  }

  /** False when the end came before all of the batch could be written. What was written has been run. */
  async #writeAndRun(batch: Item<W>[]): Promise<boolean> {
    const { log, metrics } = this.#options
    const writes = batch.flatMap(({ step }) => step?.write ?? [])
    for (let attempt = 0; writes.length; attempt++) {
      try {
        await this.#options.write(
          writes,
          batch.map(({ entry }) => entry),
        )
        metrics.batchSize.observe(writes.length)
        break
      } catch (error) {
        if (isRefusedData(error)) return await this.#writeApart(batch, error)
        if (this.#closing.signal.aborted) return false
        metrics.failures.inc()
        log.warn(
          { reason: String(error), attempt, entries: writes.length },
          'a batch could not be stored; trying again',
        )
        await delay(Math.min(100 * 2 ** Math.min(attempt, 10), longestPause), undefined, {
          signal: this.#closing.signal,
        }).catch(() => {})
        if (this.#closing.signal.aborted) return false
      }
    }
    this.#run(batch)
    return true
  }

  /** MongoDB refused what the batch holds: halves find the entry at fault, and the others are stored. */
  async #writeApart(batch: Item<W>[], error: unknown): Promise<boolean> {
    if (batch.length > 1) {
      const middle = batch.length >> 1
      return (await this.#writeAndRun(batch.slice(0, middle))) && (await this.#writeAndRun(batch.slice(middle)))
    }
    const [item] = batch
    item!.step?.fail()
    item!.step = this.#parked(item!.entry, error)
    this.#run(batch)
    return true
  }

  #run(batch: readonly Item<W>[]): void {
    const { marks, metrics } = this.#options
    const now = Date.now()
    for (const { entry, step } of batch) {
      metrics.latency.observe(Math.max(0, now - entry.stamp) / 1000)
      marks.run(entry.seq)
      this.#unsettled.add(entry.seq)
      step?.run(() => {
        this.#unsettled.delete(entry.seq)
        marks.settle(entry.seq)
      })
    }
  }

  /** An entry we failed on: it is settled when it is kept aside. */
  #parked(entry: Entry, error: unknown): Step<W> {
    const { log, metrics, park, giveUp } = this.#options
    if (entry.runBefore) return nothing
    metrics.parked.inc()
    // Not the error itself: it may hold what people write, which is not for the log.
    log.error({ reason: String(error), tap: `${entry.log}:${entry.seq}`, from: entry.from }, 'an entry was parked')
    if (++this.#parkedInRow > mostParkedInRow)
      giveUp(new Error(`${this.#parkedInRow} entries in a row had to be parked`))
    return {
      size: 0,
      fail() {},
      run: (settled) => {
        const keep = async () => {
          for (let attempt = 0; !this.#closing.signal.aborted; attempt++) {
            try {
              await park(entry, error)
              return settled()
            } catch (cause) {
              log.warn({ reason: String(cause) }, 'an entry could not be parked; trying again')
              await delay(Math.min(100 * 2 ** attempt, longestPause), undefined, {
                signal: this.#closing.signal,
              }).catch(() => {})
            }
          }
        }
        void keep()
      },
    }
  }

  /** How many entries there are of which something was sent that can still get lost. */
  get unsettled(): number {
    return this.#unsettled.size
  }

  /** Takes nothing more; resolves when the batch that is being written is written. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#working
  }
}
