import { setTimeout as delay } from 'node:timers/promises'
import type { ReplayPage } from '@im/contracts'
import type { Db } from 'mongodb'
import { holdLease } from '../lease.ts'
import type { Logger } from '../logs.ts'
import type { Replicas } from '../replicas.ts'
import type { Bus } from './bus.ts'
import { CatchUps, catchUpTopic, type Progress } from './catch-ups.ts'
import type { Projection } from './event-handler.ts'
import { readingTask } from './handle-events.ts'
import type { Change, Outbox } from './outbox.ts'
import { aggregateKeyIn, handledKey } from './partition.ts'
import { Sequences } from './sequences.ts'
import { WakeUp } from './wake-up.ts'

/** How often a finished catch-up looks whether it has to be done again, because events were lost (ms). */
const lookEvery = 30_000
/** The same while it waits for replicas of another build (ms). */
const lookForStrangersEvery = 1000
/** The longest pause between two tries while the owner is away (ms). */
const longestPause = 10_000
const tellEvery = 10_000
/**
 * Rows in one transaction. It conflicts with the handling of any event about one of them, so a transaction of a whole page
 * would be tried over and over.
 */
const rowsAtOnce = 200

export interface CatchUpOptions<T> {
  projection: Projection
  page: (after: string | undefined) => Promise<ReplayPage<T>>
  /** Stores the state of rows that are newer than what is stored, with `change.session`. */
  apply: (rows: T[], change: Change) => Promise<unknown>
}

type KeyedRow<T> = ReplayPage<T>['rows'][number] & { key: string }

/**
 * Brings a projection to the state of its owner, page by page, while its handlers already follow the events. A row never
 * replaces what a newer event has told, and a page that was stored in part is stored again. One replica does it, and another
 * goes on with the page where it was killed. Where events were lost, because nobody read them for as long as the stream keeps
 * them, it is done again.
 *
 * Every replica that handles events calls this. A replica of an older build, which does not know the projection, may skip its
 * events, so catching up begins when no such replica is left.
 */
export function catchUp<T>(
  runtime: { db: Db; bus: Bus; outbox: Outbox; replicas: Replicas; log: Logger },
  options: CatchUpOptions<T>,
): { close(): Promise<void> } {
  const { db, bus, outbox, replicas, log } = runtime
  const { name, stream } = options.projection
  const catchUps = new CatchUps(db)
  const handled = new Sequences(db, 'handled_sequences')
  const task = `catch-up ${name}`

  /**
   * Stores the rows of a page that were not taken yet. Returns those that events have overtaken since the page was read, with
   * the number that was handled: an event tells less than a row, so these are read again. If there are none, the next page is
   * due.
   */
  async function takePage(
    progress: Progress,
    taken: Set<string>,
    overtaken: ReadonlyMap<string, number>,
  ): Promise<Map<string, number>> {
    const page = await options.page(progress.after)
    const rows = page.rows
      .map((row) => ({ ...row, key: handledKey(aggregateKeyIn(stream, row.aggregate), name) }))
      .filter(({ key }) => !taken.has(key))
    const behind = new Map<string, number>()
    for (let from = 0; from < rows.length; from += rowsAtOnce) {
      const part = await store(rows.slice(from, from + rowsAtOnce), overtaken)
      for (const { key } of part.current) taken.add(key)
      for (const [key, last] of part.behind) behind.set(key, last)
    }
    if (!behind.size) await catchUps.moveOn(name, progress, page.next, page.rows.length)
    return behind
  }

  async function store(rows: readonly KeyedRow<T>[], overtaken: ReadonlyMap<string, number>) {
    return await outbox.commit(async (change) => {
      const keys = rows.map(({ key }) => key)
      const known = await handled.lastOf(keys, change.session)
      // If the owner does not know an event that was handled before it was asked, it was restored from a backup: its row counts.
      const isCurrent = ({ key, sequence }: KeyedRow<T>) =>
        sequence >= (known.get(key) ?? 0) || overtaken.get(key) === known.get(key)
      const current = rows.filter(isCurrent)
      const data = current.map((row) => row.data)
      if (data.length) await options.apply(data, change)
      await handled.store(new Map(current.map(({ key, sequence }) => [key, sequence])), change.session)
      const behind = rows.filter((row) => !isCurrent(row)).map(({ key }) => [key, known.get(key) ?? 0] as const)
      return { current, behind }
    })
  }

  /** Whether replicas handle events of the stream and know nothing of the projection. */
  function hasStrangers(): boolean {
    const able = new Set(replicas.sharing(task))
    return replicas.sharing(readingTask(stream)).some((id) => !able.has(id))
  }

  const wakeUp = new WakeUp()
  const waking = bus.onWake(catchUpTopic(bus), () => wakeUp.notify())
  const offer = replicas.offer(task)
  const watching = replicas.watch(() => {
    if (hasStrangers()) wakeUp.notify()
  })
  const lease = holdLease(runtime, {
    name: task,
    async work(signal) {
      let toldAt = performance.now()
      for (let failures = 0; !signal.aborted; ) {
        wakeUp.reset()
        try {
          if (hasStrangers()) {
            await catchUps.beginAnew(stream.name, name)
            log.debug({ catchUp: name }, 'catching up waits for the end of replicas of another build')
            await wakeUp.wait(lookForStrangersEvery, { signal })
            continue
          }
          const progress = await catchUps.progressOf(name, stream.name)
          if (progress.finishedAt) {
            if (!wakeUp.isNotified) await wakeUp.wait(lookEvery, { signal })
            continue
          }
          if (progress.rows === 0) log.info({ catchUp: name }, 'catching up with another service')
          const taken = new Set<string>()
          let overtaken = new Map<string, number>()
          do {
            overtaken = await takePage(progress, taken, overtaken)
          } while (overtaken.size && !signal.aborted)
          failures = 0
          const { rows, finishedAt } = await catchUps.progressOf(name, stream.name)
          if (finishedAt || performance.now() > toldAt + tellEvery) {
            log.info({ catchUp: name, rows }, finishedAt ? 'caught up with another service' : 'still catching up')
            toldAt = performance.now()
          }
        } catch (error) {
          if (signal.aborted) return
          log[failures ? 'debug' : 'warn']({ err: error, catchUp: name }, 'could not catch up; trying again')
          await delay(Math.min(100 * 2 ** failures++, longestPause), undefined, { signal }).catch(() => {})
        }
      }
    },
  })
  return {
    async close() {
      await waking.close()
      watching.close()
      offer.withdraw()
      await lease.close()
    },
  }
}
