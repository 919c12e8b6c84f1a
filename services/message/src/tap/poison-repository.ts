import type { Collection, Db } from 'mongodb'
import type { ReadEntry } from './read-entry.ts'

/** What MongoDB refused to store as a message, as text for an operator. */
export class PoisonRepository {
  readonly collection: Collection<{ _id: string; at: Date; error: string; message: string }>

  constructor(db: Db) {
    this.collection = db.collection('poison')
  }

  async keep(entry: ReadEntry, error: unknown): Promise<void> {
    const kept = { at: new Date(), error: String(error), message: JSON.stringify(entry.store ?? entry) }
    await this.collection.updateOne({ _id: entry.tap }, { $set: kept }, { upsert: true })
  }
}
