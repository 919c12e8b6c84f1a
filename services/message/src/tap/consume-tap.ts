import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import { imNamespace } from './im-namespace.ts'
import { type ReadEntry, readEntry, type TapEntry } from './read-entry.ts'
import { type ReceiptRequest, receiptStanza } from './receipt.ts'
import { isRefusedData } from './refused-data.ts'
import type { TapMetrics } from './tap-metrics.ts'

export interface TapConsumerOptions {
  domain: string
  component: string
  maxBatch: number
  /** Commits a batch; resolves when it is stored durably. `lookFirst`: copies are likely. */
  archive(entries: readonly ReadEntry[], lookFirst: boolean): Promise<number>
  /** Keeps an entry aside that MongoDB refused, for an operator. */
  park(entry: ReadEntry, error: unknown): Promise<void>
  /** Writes stanzas to the XMPP server. */
  send(xml: string): void
  /** The connection must be opened anew, and all that is not acknowledged comes again. */
  fail(error: Error): void
  log: Logger
  metrics: TapMetrics
}

interface Pending extends ReadEntry {
  seq: number
  stamp: number
}

/**
 * A batch costs a write to the disk and seven commands however small it is. Under lasting traffic the next one waits a moment
 * (ms) while it has fewer entries than this; a message that comes alone never waits.
 */
const worthwhileBatch = 64
const gatherFor = 4
/** Bodies are up to 64 KiB: so many characters of them are enough for one transaction (some MB; MongoDB holds it in its cache). */
const batchTextLength = 512 * 1024

/** Copies arrive for as many entries after a connection as the server may have unacknowledged. */
const lookFirstFor = 2048

/**
 * Takes the entries of one connection in order and archives them in batches: whatever arrived while the last batch was being
 * written is the next one. After the commit go the receipts, then the cumulative acknowledgement. What a batch cannot store
 * because MongoDB is away is tried again for ever; memory is bounded by the server's window of unacknowledged entries.
 */
export function createTapConsumer(options: TapConsumerOptions) {
  const { domain, component, log, metrics } = options
  const closing = new AbortController()
  const queue: Pending[] = []
  let lineage = ''
  let next: number | undefined
  let lookFirstUntil = 0
  let working: Promise<void> | undefined

  function expect(logId: string, acked: number, last: number): void {
    lineage = logId
    next = acked + 1
    lookFirstUntil = acked + lookFirstFor
    metrics.backlog.set(Math.max(0, last - acked))
  }

  /** Throws when the feed is broken. */
  function take(entry: Omit<TapEntry, 'log'>): void {
    if (closing.signal.aborted) return
    if (next === undefined) throw new Error('an entry came before the start of the feed')
    if (entry.seq !== next) throw new Error(`entry ${entry.seq} came where ${next} was due`)
    next++
    const stamp = Number.isFinite(entry.stamp) ? entry.stamp : Date.now()
    queue.push({ seq: entry.seq, stamp, ...understood({ ...entry, stamp, log: lineage }) })
    metrics.queued.set(queue.length)
    // Not at once: the entries of one network read are parsed in one go and belong in one batch.
    working ??= new Promise<void>((resolve) => setImmediate(resolve)).then(drain)
  }

  function understood(entry: TapEntry): ReadEntry {
    try {
      const { poison, ...read } = readEntry(entry, domain)
      if (poison) notePoison(entry, poison)
      return read
    } catch (error) {
      notePoison(entry, error)
      return { tap: `${entry.log}:${entry.seq}` }
    }
  }

  function notePoison(entry: TapEntry, error: unknown): void {
    metrics.poison.inc()
    log.error(
      { reason: reasonOf(error), tap: `${entry.log}:${entry.seq}`, sender: entry.sender },
      'an entry of the tap cannot be read',
    )
  }

  async function drain(): Promise<void> {
    try {
      while (queue.length && !closing.signal.aborted) {
        const batch = queue.splice(0, batchLength())
        metrics.queued.set(queue.length)
        const stored = await write(batch)
        if (!stored) return
        confirm(batch)
        if (queue.length < worthwhileBatch) await delay(gatherFor)
      }
    } catch (error) {
      options.fail(error as Error)
    } finally {
      working = undefined
    }
  }

  /** How many of the waiting entries make a batch: the texts of one transaction have a bound, too. */
  function batchLength(): number {
    let length = 0
    let size = 0
    while (length < Math.min(queue.length, options.maxBatch)) {
      size += queue[length]!.store?.body.length ?? 0
      if (length > 0 && size > batchTextLength) break
      length++
    }
    return length
  }

  /** False when the consumer was closed before the batch could be stored. */
  async function write(batch: Pending[]): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      try {
        const added = await options.archive(batch, batch[0]!.seq <= lookFirstUntil || attempt > 0)
        metrics.stored.inc(added)
        return true
      } catch (error) {
        if (isRefusedData(error)) {
          await writeApart(batch, error)
          return !closing.signal.aborted
        }
        if (closing.signal.aborted) return false
        metrics.failures.inc()
        log.warn(
          { reason: reasonOf(error), attempt, entries: batch.length },
          'a batch could not be archived; trying again',
        )
        await delay(Math.min(100 * 2 ** Math.min(attempt, 10), 5000), undefined, { signal: closing.signal }).catch(
          () => {},
        )
        if (closing.signal.aborted) return false
      }
    }
  }

  /** MongoDB refused what the batch holds: halves find the entry at fault, and the others are stored. */
  async function writeApart(batch: Pending[], error: unknown): Promise<void> {
    if (batch.length > 1) {
      const middle = batch.length >> 1
      if (await write(batch.slice(0, middle))) await write(batch.slice(middle))
      return
    }
    const entry = batch[0]!
    metrics.poison.inc()
    // Not the error itself: the driver's holds the whole document, and what people write is not for the log.
    log.error({ reason: reasonOf(error), tap: entry.tap }, 'an entry of the tap cannot be stored')
    // Not stored, so its sender must not be told it was.
    const refused = { ...entry }
    entry.receipt = undefined
    await options.park(refused, error)
  }

  function confirm(batch: Pending[]): void {
    const receipts = batch.flatMap(({ receipt }): ReceiptRequest[] => (receipt ? [receipt] : []))
    const last = batch.at(-1)!
    options.send(
      `${receipts.map(receiptStanza).join('')}<message from="${component}" to="${domain}">` +
        `<ack xmlns="${imNamespace}" seq="${last.seq}"/></message>`,
    )
    const now = Date.now()
    metrics.batchSize.observe(batch.length)
    metrics.receipts.inc(receipts.length)
    for (const { stamp } of batch) metrics.latency.observe(Math.max(0, now - stamp) / 1000)
    metrics.backlog.set(queue.length)
    metrics.lag.set(queue.length ? Math.max(0, now - queue[0]!.stamp) / 1000 : 0)
  }

  return {
    expect,
    take,
    /** Takes nothing more; resolves when the batch that is being written is stored and acknowledged. */
    async close(): Promise<void> {
      closing.abort()
      await working
    },
  }
}

const reasonOf = (error: unknown) => String(error)

export type TapConsumer = ReturnType<typeof createTapConsumer>
