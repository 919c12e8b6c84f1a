import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'
import type { MessageDocument } from '../archive/messages-repository.ts'

/**
 * What the archive holds and the index not yet. A batch is written in the transaction that stores its messages, so none can
 * be missed, however late it commits; it is removed after its postings are stored. Searches read these messages from the
 * archive, so a result is complete at any lag.
 */
export interface Backlog {
  /** The smallest id of its messages: the oldest comes first. */
  _id: ObjectId
  rows: { id: ObjectId; conversation: string }[]
}

export class SearchBacklog {
  readonly collection: Collection<Backlog>

  constructor(db: Db) {
    this.collection = db.collection<Backlog>('searchBacklog')
  }

  /** Part of the archive's transaction: one small document per batch. */
  async add(
    messages: readonly Pick<MessageDocument, '_id' | 'conversation' | 'searchable'>[],
    session: ClientSession,
  ): Promise<void> {
    const rows = messages
      .filter(({ searchable }) => searchable)
      .map(({ _id, conversation }) => ({ id: _id, conversation }))
      .sort((a, b) => a.id.toHexString().localeCompare(b.id.toHexString()))
    if (rows.length) await this.collection.insertOne({ _id: rows[0]!.id, rows }, { session })
  }

  oldest(limit: number): Promise<Backlog[]> {
    return this.collection.find().sort({ _id: 1 }).limit(limit).toArray()
  }

  async all(): Promise<Backlog[]> {
    return await this.collection.find().sort({ _id: 1 }).toArray()
  }

  async remove(ids: readonly ObjectId[]): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } })
  }

  /** When the oldest waiting message was stored, in ms; undefined when none waits. */
  async waitingSince(): Promise<number | undefined> {
    const oldest = await this.collection.findOne({}, { sort: { _id: 1 }, projection: { _id: 1 } })
    return oldest?._id.getTimestamp().getTime()
  }
}
