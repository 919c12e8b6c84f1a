import type { Collection, Db, Document, Filter, OptionalUnlessRequiredId, UpdateFilter } from 'mongodb'
import type { Change } from './outbox.ts'

/** The rows of a projection (`catchUp`), by their ids: what this service keeps of things that another one owns. */
export class CopiedRows<T extends Document & { _id: string | number }> {
  readonly collection: Collection<T>

  constructor(db: Db, name: string) {
    this.collection = db.collection<T>(name)
  }

  /** Those that are known, by their ids. */
  async find(ids: readonly T['_id'][], change?: Pick<Change, 'session'>): Promise<Map<T['_id'], T>> {
    if (!ids.length) return new Map()
    const filter = { _id: { $in: [...ids] } } as Filter<T>
    const found = await this.collection.find(filter, { session: change?.session, batchSize: ids.length + 1 }).toArray()
    return new Map(found.map((row) => [row._id, row as unknown as T]))
  }

  /** Stores what is known now; fields that are not named stay as they are. */
  async put(rows: readonly (Pick<T, '_id'> & Partial<T>)[], { session }: Pick<Change, 'session'>): Promise<void> {
    if (!rows.length) return
    await this.collection.bulkWrite(
      rows.map(({ _id, ...fields }) => ({
        updateOne: {
          filter: { _id } as Filter<T>,
          update: { $set: fields } as unknown as UpdateFilter<T>,
          upsert: true,
        },
      })),
      { session, ordered: false },
    )
  }

  /** Stores rows whole, in the place of those of the same ids. */
  async replace(rows: readonly T[], { session }: Pick<Change, 'session'>): Promise<void> {
    if (!rows.length) return
    await this.collection.bulkWrite(
      rows.map(({ _id, ...replacement }) => ({
        replaceOne: {
          filter: { _id } as Filter<T>,
          replacement: replacement as unknown as OptionalUnlessRequiredId<T>,
          upsert: true,
        },
      })),
      { session, ordered: false },
    )
  }

  async remove(ids: readonly T['_id'][], { session }: Pick<Change, 'session'>): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } } as Filter<T>, { session })
  }
}
