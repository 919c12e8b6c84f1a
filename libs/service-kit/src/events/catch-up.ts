import { setTimeout as delay } from 'node:timers/promises'
import type { ReplayPage, StreamSpec } from '@im/contracts'
import type { Db } from 'mongodb'
import { holdLease } from '../lease.ts'
import type { Logger } from '../logs.ts'
import type { Replicas } from '../replicas.ts'
import type { Bus } from './bus.ts'
import { CatchUps, catchUpTopic, type Progress } from './catch-ups.ts'
import type { Change, Outbox } from './outbox.ts'
import { aggregateKeyIn } from './partition.ts'
import { Sequences } from './sequences.ts'
import { WakeUp } from './wake-up.ts'

/** How often a finished catch-up looks whether it has to be done again, because events were lost (ms). */
const lookEvery = 30_000
/** Between two tries while the owner is away (ms). */
const longestPause = 10_000
const tellEvery = 10_000

export interface CatchUpOptions<T> {
  /** With another name everything is read again: for a projection that keeps more than before. */
  name: string
  /** The events that the projection follows, by handlers that are `exactlyOnce`. */
  stream: StreamSpec
  page: (after: string | undefined) => Promise<ReplayPage<T>>
  /** Stores the state of rows that are newer than what is stored, with `change.session`. */
  apply: (rows: T[], change: Change) => Promise<unknown>
}

/**
 * Brings a projection to the state of its owner, while handlers already follow the events: pages of the owner's rows, each
 * stored in one transaction with the place of the next. A row never replaces what a newer event has told. One replica does it, and another goes on where it was killed. Where events were
 * lost, because nobody read them for as long as the stream keeps them, it is done again.
 */
export function catchUp<T>(
  runtime: { db: Db; bus: Bus; outbox: Outbox; replicas: Replicas; log: Logger },
  options: CatchUpOptions<T>,
): { close(): Promise<void> } {
  const { db, bus, outbox, log } = runtime
  const { name, stream } = options
  const catchUps = new CatchUps(db)
  const handled = new Sequences(db, 'handled_sequences')

  /**
   * Stores a page and goes on to the next, or gives the keys of rows that events have overtaken since the page was read. An
   * event tells less than a row, so these are read again.
   */
  async function takePage(progress: Progress, only: ReadonlySet<string> | undefined): Promise<Set<string>> {
    const page = await options.page(progress.after)
    const keyed = page.rows.map((row) => ({ ...row, key: aggregateKeyIn(stream, row.aggregate) }))
    const rows = only ? keyed.filter(({ key }) => only.has(key)) : keyed
    const keys = rows.map(({ key }) => key)
    return await outbox.commit(async (change) => {
      const { session } = change
      const known = await handled.lastOf(keys, session)
      const isCurrent = ({ key, sequence }: { key: string; sequence: number }) => sequence >= (known.get(key) ?? 0)
      const current = rows.filter(isCurrent)
      const data = current.map((row) => row.data)
      if (data.length) await options.apply(data, change)
      await handled.store(new Map(current.map(({ key, sequence }) => [key, sequence])), session)
      const overtaken = new Set(rows.filter((row) => !isCurrent(row)).map(({ key }) => key))
      if (!overtaken.size) await catchUps.moveOn(name, progress, page.next, keyed.length, session)
      return overtaken
    })
  }

  const wakeUp = new WakeUp()
  const waking = bus.onWake(catchUpTopic(bus), () => wakeUp.notify())
  const lease = holdLease(runtime, {
    name: `catch-up ${name}`,
    async work(signal) {
      let toldAt = Date.now()
      for (let failures = 0; !signal.aborted; ) {
        try {
          const progress = await catchUps.progressOf(name, stream.name)
          if (progress.finishedAt) {
            await wakeUp.wait(lookEvery, { signal })
            continue
          }
          if (progress.rows === 0) log.info({ catchUp: name }, 'catching up with another service')
          let overtaken: Set<string> | undefined
          do {
            overtaken = await takePage(progress, overtaken)
          } while (overtaken.size && !signal.aborted)
          failures = 0
          const { rows, finishedAt } = await catchUps.progressOf(name, stream.name)
          if (finishedAt || Date.now() > toldAt + tellEvery) {
            log.info({ catchUp: name, rows }, finishedAt ? 'caught up with another service' : 'still catching up')
            toldAt = Date.now()
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
      await lease.close()
    },
  }
}
