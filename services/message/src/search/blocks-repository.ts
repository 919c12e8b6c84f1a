import { ensureIndexes } from '@im/service-kit'
import type { AnyBulkWriteOperation, ClientSession, Collection, Db, Filter, ObjectId } from 'mongodb'
import type { RowsSummary } from './packed-rows.ts'

/**
 * Some messages of one conversation, too few to be pages. A conversation has at most one block that takes more; the full ones
 * wait to be sealed.
 */
export interface Block extends RowsSummary {
  _id: ObjectId
  conversation: string
  /** Both sides of a single chat; absent for rooms. */
  users?: number[]
  /** The conversation again while the block takes more. Its index isn't unique: two open blocks would do no harm. */
  openFor?: string
  /** Packed, in no order. */
  rows: Buffer
}

export class SearchBlocks {
  readonly collection: Collection<Block>

  constructor(db: Db) {
    this.collection = db.collection<Block>('searchBlocks', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: { users: 1 } },
      { key: { conversation: 1 } },
      { key: { openFor: 1 }, sparse: true },
      { key: { minExpiry: 1 }, sparse: true },
    ])
  }

  find(filter: Filter<Block>, session?: ClientSession) {
    return this.collection.find(filter, { session, batchSize: 1000 })
  }

  async openOf(conversations: readonly string[], session: ClientSession): Promise<Map<string, Block>> {
    const found = await this.find({ openFor: { $in: [...conversations] } }, session).toArray()
    return new Map(found.map((block) => [block.conversation, block]))
  }

  full(conversation: string, session?: ClientSession) {
    return this.find({ conversation, openFor: { $exists: false } }, session).sort({ _id: 1 })
  }

  async write(blocks: { fresh: Block[]; changed: Block[] }, session: ClientSession): Promise<void> {
    if (blocks.fresh.length) await this.collection.insertMany(blocks.fresh, { session, ordered: false })
    if (blocks.changed.length)
      await this.collection.bulkWrite(blocks.changed.map(replacement), { session, ordered: false })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }
}

const replacement = ({
  _id,
  rows,
  count,
  minTime,
  maxTime,
  minExpiry,
  openFor,
}: Block): AnyBulkWriteOperation<Block> => ({
  updateOne: {
    filter: { _id },
    update: {
      $set: { rows, count, minTime, maxTime, ...(minExpiry === undefined ? {} : { minExpiry }) },
      ...(openFor === undefined ? { $unset: { openFor: '' as const } } : {}),
    },
  },
})
