import { LRUCache } from 'lru-cache'
import type { ClientSession, Collection, Db } from 'mongodb'
import { asConflict } from '../transaction.ts'
import { upTo } from '../up-to.ts'
import type { LaterWrites } from './later-writes.ts'

interface LastSequence {
  /** Stream and aggregate. */
  _id: string
  last: number
}

/** The last sequence number of each aggregate: the last one given in `sequences`, the last one handled in `handled_sequences`. */
export class Sequences {
  readonly #sequences: Collection<LastSequence>
  /** The last numbers that were taken here, for as long (ms) as hardly anybody else can have taken others. */
  readonly #taken = new LRUCache<string, number>({ ...upTo(10_000), ttl: 5000 })
  /** Aggregates of which others take numbers, too: each wrong guess costs the transaction. */
  readonly #shared = new LRUCache<string, true>({ ...upTo(10_000), ttl: 60_000 })

  constructor(db: Db, collection: 'sequences' | 'handled_sequences') {
    this.#sequences = db.collection(collection)
  }

  /**
   * Takes the next numbers of each aggregate, as many as `counts` says, and returns the last of them. Transactions that take
   * numbers of the same aggregate conflict. A number is at least the time (ms), so none is given twice after the database was
   * restored from a backup. Numbers of an aggregate that this process alone writes about are not asked for a moment after the last
   * ones: they are taken `later`, and the transaction runs again when somebody else took some meanwhile.
   */
  async take(
    counts: ReadonlyMap<string, number>,
    session: ClientSession,
    later: LaterWrites,
  ): Promise<Map<string, number>> {
    const now = Date.now()
    const lasts = new Map<string, number>()
    const unknown: [string, number][] = []
    for (const [_id, count] of counts) {
      const known = this.#taken.get(_id)
      if (known === undefined) {
        unknown.push([_id, count])
        continue
      }
      const last = Math.max(known + count, now)
      lasts.set(_id, last)
      // Where the last number is another one, the filter finds nothing, and the key of what is to be inserted is taken.
      const filter = { _id, last: known }
      later.add(this.#sequences, { updateOne: { filter, update: { $set: { last } }, upsert: true } }, (taken) => {
        this.#taken.delete(_id)
        this.#shared.set(_id, true)
        return asConflict(taken)
      })
    }
    return new Map([...lasts, ...(await this.#takeNow(unknown, now, session))])
  }

  async #takeNow(
    counts: readonly [string, number][],
    now: number,
    session: ClientSession,
  ): Promise<ReadonlyMap<string, number>> {
    const after = (count: number) => ({ $max: [{ $add: [{ $ifNull: ['$last', 0] }, count] }, now] })
    const takings = counts.map(([_id, count]) => ({ filter: { _id }, update: [{ $set: { last: after(count) } }] }))
    const [only] = takings
    if (!only) return new Map()
    if (takings.length === 1) {
      const options = { session, upsert: true, returnDocument: 'after' } as const
      const taken = await this.#sequences.findOneAndUpdate(only.filter, only.update, options)
      return new Map(taken ? [[taken._id, taken.last]] : [])
    }
    const updates = takings.map((updateOne) => ({ updateOne: { ...updateOne, upsert: true } }))
    await this.#sequences.bulkWrite(updates, { session, ordered: false })
    return await this.lastOf(
      counts.map(([_id]) => _id),
      session,
    )
  }

  /** The numbers that `take` gave are committed. */
  keep(lasts: ReadonlyMap<string, number>): void {
    for (const [_id, last] of lasts)
      if (!this.#shared.has(_id) && last > (this.#taken.get(_id) ?? 0)) this.#taken.set(_id, last)
  }

  /** The last number of each aggregate. Aggregates without one are absent. */
  async lastOf(aggregates: readonly string[], session: ClientSession): Promise<Map<string, number>> {
    const found = await this.#sequences.find({ _id: { $in: [...new Set(aggregates)] } }, { session }).toArray()
    return new Map(found.map(({ _id, last }) => [_id, last]))
  }

  /** Writes unchanged numbers, too, so that two transactions that rely on the number of one aggregate conflict. */
  async store(lasts: ReadonlyMap<string, number>, session: ClientSession): Promise<void> {
    if (!lasts.size) return
    await this.#sequences.bulkWrite(
      [...lasts].map(([_id, last]) => ({
        updateOne: { filter: { _id }, update: { $set: { last } }, upsert: true },
      })),
      { session, ordered: false },
    )
  }
}
