import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db, Filter, ObjectId } from 'mongodb'
import type { Token } from './tokens.ts'

/**
 * What the index knows of one message. It may outlive the message's visibility: whoever finds one asks the archive before it
 * shows anything. Never changed after it was written.
 */
export interface Posting {
  /** Of the message. */
  _id: ObjectId
  conversation: string
  tokens: Token[]
  /** Folded texts, for the comparison. Absent for long ones: theirs are read from the archive. */
  texts?: string[]
  from: number
  contentType: number
  timeSend: number
  ts: number
  expireAt?: Date
}

export type FoundPosting = Omit<Posting, 'tokens' | 'expireAt'>

export interface PostingQuery {
  tokens: readonly Token[]
  timeSend: { $gte?: number; $lt?: number; $lte?: number }
  fromUserId?: number
  contentType?: number
}

const filterOf = ({ tokens, timeSend, fromUserId, contentType }: PostingQuery): Filter<Posting> => ({
  tokens: tokens.length === 1 ? tokens[0]! : { $in: [...tokens] },
  ...(Object.keys(timeSend).length ? { timeSend } : {}),
  ...(fromUserId === undefined ? {} : { from: fromUserId }),
  ...(contentType === undefined ? {} : { contentType }),
})

const byToken = { tokens: 1, timeSend: -1 } as const

/** A search must not occupy the database for longer, in ms. */
const patience = 5000

/** The index of words: one document per searchable message, found by its tokens, newest first. */
export class Postings {
  readonly collection: Collection<Posting>

  constructor(db: Db) {
    this.collection = db.collection<Posting>('searchPostings')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: byToken },
      { key: { expireAt: 1 }, expireAfterSeconds: 0, sparse: true },
    ])
  }

  /** Postings that exist already are left alone: the same message always makes the same one. */
  async add(postings: Posting[]): Promise<void> {
    if (!postings.length) return
    try {
      await this.collection.insertMany(postings, { ordered: false })
    } catch (error) {
      const errors = (error as { writeErrors?: { code: number }[] | { code: number } }).writeErrors
      const all = errors === undefined ? [] : Array.isArray(errors) ? errors : [errors]
      if (!all.length || all.some(({ code }) => code !== 11000)) throw error
    }
  }

  newest(query: PostingQuery, limit: number): Promise<FoundPosting[]> {
    return this.find(query, limit).toArray()
  }

  /** The query itself, so that tests can ask for its plan. No hint: SecantusDB walks the whole hinted index, without one it takes the ranges. */
  find(query: PostingQuery, limit: number) {
    return this.collection
      .find(filterOf(query))
      .sort({ timeSend: -1 })
      .limit(limit)
      .batchSize(limit)
      .project<FoundPosting>({ tokens: 0, expireAt: 0 })
      .maxTimeMS(patience)
  }

  /** How many there are; it stops counting at `limit`. */
  count(query: PostingQuery, limit: number): Promise<number> {
    return this.collection.countDocuments(filterOf(query), { limit, maxTimeMS: patience })
  }

  /** Ids in their order, for the sweep. */
  async idsAfter(after: ObjectId | undefined, limit: number): Promise<ObjectId[]> {
    const found = await this.collection
      .find(after ? { _id: { $gt: after } } : {})
      .sort({ _id: 1 })
      .limit(limit)
      .project<{ _id: ObjectId }>({ _id: 1 })
      .toArray()
    return found.map(({ _id }) => _id)
  }

  async remove(ids: readonly ObjectId[]): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } })
  }
}
