import type { ClientSession, Collection, Db } from 'mongodb'

interface LastSequence {
  /** Stream and aggregate. */
  _id: string
  last: number
}

/** The last sequence number of each aggregate: the last one given in `sequences`, the last one handled in `handled_sequences`. */
export class Sequences {
  readonly #sequences: Collection<LastSequence>

  constructor(db: Db, collection: 'sequences' | 'handled_sequences') {
    this.#sequences = db.collection(collection)
  }

  /**
   * Takes the next numbers of each aggregate, as many as `counts` says, and returns the last of them. Transactions that take
   * numbers of the same aggregate conflict. A number is at least the time (ms), so none is given twice after the database was
   * restored from a backup.
   */
  async take(counts: ReadonlyMap<string, number>, session: ClientSession): Promise<Map<string, number>> {
    const now = Date.now()
    const after = (count: number) => ({ $max: [{ $add: [{ $ifNull: ['$last', 0] }, count] }, now] })
    const takings = [...counts].map(([_id, count]) => ({ filter: { _id }, update: [{ $set: { last: after(count) } }] }))
    const [only] = takings
    if (only && takings.length === 1) {
      const options = { session, upsert: true, returnDocument: 'after' } as const
      const taken = await this.#sequences.findOneAndUpdate(only.filter, only.update, options)
      return new Map(taken ? [[taken._id, taken.last]] : [])
    }
    const updates = takings.map((updateOne) => ({ updateOne: { ...updateOne, upsert: true } }))
    await this.#sequences.bulkWrite(updates, { session, ordered: false })
    return await this.lastOf([...counts.keys()], session)
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
