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

  /** Takes `count` numbers and returns the last. Transactions that take numbers of the same aggregate conflict. */
  async take(aggregate: string, count: number, session: ClientSession): Promise<number> {
    const taken = await this.#sequences.findOneAndUpdate(
      { _id: aggregate },
      { $inc: { last: count } },
      { session, upsert: true, returnDocument: 'after' },
    )
    if (!taken) throw new Error(`no sequence for ${aggregate}`)
    return taken.last
  }

  /** The last number of each aggregate. Aggregates without one are absent. */
  async lastOf(aggregates: readonly string[], session: ClientSession): Promise<Map<string, number>> {
    const found = await this.#sequences.find({ _id: { $in: [...new Set(aggregates)] } }, { session }).toArray()
    return new Map(found.map(({ _id, last }) => [_id, last]))
  }

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
