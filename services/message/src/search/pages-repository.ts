import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'
import type { Owner } from './owners.ts'
import type { RowsSummary } from './packed-rows.ts'

/** Messages of one owner that follow each other in time. Read only when a filter names it. */
export interface Page extends RowsSummary {
  _id: ObjectId
  owner: Owner
  /** Packed, in order of time. */
  rows: Buffer
}

export class SearchPages {
  readonly collection: Collection<Page>

  constructor(db: Db) {
    this.collection = db.collection<Page>('searchPages', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { owner: 1, maxTime: 1, minTime: 1 } }])
  }

  async byIds(ids: readonly ObjectId[], session?: ClientSession): Promise<Page[]> {
    return await this.collection.find({ _id: { $in: [...ids] } }, { session, batchSize: 1000 }).toArray()
  }

  /** Pages whose time covers a moment. Both bounds stand in the index, so no page beside is read. */
  around(owner: Owner, moment: number, session?: ClientSession) {
    return this.collection.find({ owner, maxTime: { $gte: moment }, minTime: { $lte: moment } }, { session })
  }

  async add(pages: readonly Page[], session: ClientSession): Promise<void> {
    if (pages.length) await this.collection.insertMany([...pages], { session, ordered: false })
  }

  async replace(page: Page, session: ClientSession): Promise<void> {
    await this.collection.replaceOne({ _id: page._id }, page, { session })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }
}
