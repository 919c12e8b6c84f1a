import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter, ObjectId } from 'mongodb'
import type { RowsSummary } from './packed-rows.ts'

/** Messages of a conversation that follow each other in time. Read only when a filter names it. */
export interface Page extends RowsSummary {
  _id: ObjectId
  conversation: string
  /** Packed, in order of time. */
  rows: Buffer
}

/** Pages are never moved; a page that has lost all its rows is removed, its filter may still name it. */
export class SearchPages {
  readonly collection: Collection<Page>

  constructor(db: Db) {
    this.collection = db.collection<Page>('searchPages', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: { conversation: 1, maxTime: 1 } },
      { key: { minExpiry: 1 }, sparse: true },
    ])
  }

  find(filter: Filter<Page>, session?: ClientSession) {
    return this.collection.find(filter, { session, batchSize: 1000 })
  }

  async add(pages: Page[], session: ClientSession): Promise<void> {
    await this.collection.insertMany(pages, { session, ordered: false })
  }

  async replace(page: Page, session: ClientSession): Promise<void> {
    await this.collection.replaceOne({ _id: page._id }, page, { session })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }
}
