import { ensureIndexes, isDuplicateKey, skipOf } from '@im/service-kit'
import { type Collection, type Db, MongoBulkWriteError, ObjectId } from 'mongodb'

export interface CollectedItem {
  type: number
  url?: string
  msg?: string
  msgId?: string
  roomJid?: string
  fileName?: string
  fileLength: number
  fileSize: number
  collectType: number
  collectContent?: string
  collectMsgId?: string
  title?: string
  shareURL?: string
}

export interface CollectedDocument extends CollectedItem {
  /** Made from what the item is, so the same one is not kept twice. */
  _id: ObjectId
  userId: number
  /** What else would be the same item. */
  sameAs: string[]
  /** Seconds. */
  createTime: number
}

/** Emoji are listed by themselves. */
export const emojiType = 6
/** Nobody needs more; what is beyond is still there when others are removed. */
const mostListed = 5000
/** The same for the characters of a list, which is answered at once. */
const mostText = 8 * 2 ** 20

/** What users keep: messages, links, emoji. */
export class CollectedRepository {
  readonly #collected: Collection<CollectedDocument>

  constructor(db: Db) {
    this.#collected = db.collection('collected')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#collected, [
      { key: { userId: 1, createTime: -1, _id: -1 } },
      { key: { userId: 1, type: 1, createTime: -1, _id: -1 } },
      { key: { userId: 1, sameAs: 1 } },
    ])
  }

  /** Which of these marks (`sameAs`) the user has. */
  async known(userId: number, marks: readonly string[]): Promise<Set<string>> {
    const found = await this.#collected
      .find({ userId, sameAs: { $in: [...marks] } })
      .project<Pick<CollectedDocument, 'sameAs'>>({ sameAs: 1 })
      .toArray()
    return new Set(found.flatMap(({ sameAs }) => sameAs))
  }

  /** Adds what is not there yet, and returns how many that were. */
  async add(items: readonly CollectedDocument[]): Promise<number> {
    try {
      return (await this.#collected.insertMany([...items], { ordered: false })).insertedCount
    } catch (error) {
      if (error instanceof MongoBulkWriteError && isDuplicateKey(error)) return error.insertedCount
      throw error
    }
  }

  /** The newest first. `type` undefined: all but emoji. */
  async list(
    userId: number,
    type: number | undefined,
    { pageIndex, pageSize = mostListed }: { pageIndex: number; pageSize?: number },
  ): Promise<CollectedDocument[]> {
    const skip = skipOf({ pageIndex, pageSize })
    if (skip === undefined) return []
    const found = this.#collected
      .find({ userId, type: type ?? { $ne: emojiType } })
      .sort({ createTime: -1, _id: -1 })
      .skip(skip)
      .limit(pageSize)
    const listed: CollectedDocument[] = []
    let text = 0
    for await (const item of found) {
      for (const value of Object.values(item)) if (typeof value === 'string') text += value.length
      if (text > mostText) break
      listed.push(item)
    }
    return listed
  }

  async remove(userId: number, ids: readonly string[]): Promise<void> {
    const wanted = ids.filter((id) => /^[0-9a-f]{24}$/i.test(id)).map((id) => new ObjectId(id))
    if (wanted.length) await this.#collected.deleteMany({ _id: { $in: wanted }, userId })
  }

  async removeUser(userId: number): Promise<void> {
    await this.#collected.deleteMany({ userId })
  }
}
