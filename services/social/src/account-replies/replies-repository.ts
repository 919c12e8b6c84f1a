import { mostReplies } from '@im/contracts/social'
import { isDuplicateKey, onceMoreIfTaken } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** An answer to words. */
export interface WordReply {
  id: string
  words: string[]
  match: number
  content: string
}

/** What an account answers by itself. */
export interface Replies {
  /** The account. */
  _id: number
  welcome?: string
  replies: WordReply[]
}

export class RepliesRepository {
  readonly #replies: Collection<Replies>

  constructor(db: Db) {
    this.#replies = db.collection('account_replies')
  }

  async of(account: number): Promise<Replies> {
    return (await this.#replies.findOne({ _id: account })) ?? { _id: account, replies: [] }
  }

  /** Of those accounts that answer something by themselves. */
  async ofAll(accounts: readonly number[]): Promise<Map<number, Replies>> {
    if (!accounts.length) return new Map()
    const found = await this.#replies.find({ _id: { $in: [...accounts] } }).toArray()
    return new Map(found.map((replies) => [replies._id, replies]))
  }

  async setWelcome(account: number, welcome: string | undefined): Promise<void> {
    const update = welcome === undefined ? { $unset: { welcome: '' as const } } : { $set: { welcome } }
    await this.#replies.updateOne({ _id: account }, { ...update, $setOnInsert: { replies: [] } }, { upsert: true })
  }

  /** False when the account has as many as it may. */
  async add(account: number, reply: WordReply): Promise<boolean> {
    try {
      const hasRoom = { _id: account, [`replies.${mostReplies - 1}`]: { $exists: false } }
      await onceMoreIfTaken(() => this.#replies.updateOne(hasRoom, { $push: { replies: reply } }, { upsert: true }))
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  /** False when there is none of this id. */
  async replace(account: number, reply: WordReply): Promise<boolean> {
    const filter = { _id: account, 'replies.id': reply.id }
    return (await this.#replies.updateOne(filter, { $set: { 'replies.$': reply } })).matchedCount > 0
  }

  /** False when there is none of this id. */
  async remove(account: number, id: string): Promise<boolean> {
    const filter = { _id: account, 'replies.id': id }
    return (await this.#replies.updateOne(filter, { $pull: { replies: { id } } })).matchedCount > 0
  }

  async removeAllOf(account: number): Promise<void> {
    await this.#replies.deleteOne({ _id: account })
  }
}
