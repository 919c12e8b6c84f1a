import type { StreamSpec } from '@im/contracts'
import type { ClientSession, Collection, Db } from 'mongodb'
import { isDuplicateKey } from '../mongo.ts'
import type { StreamPosition } from './bus.ts'

/** A partition of a stream, as one service reads it. */
export interface Shard {
  id: string
  stream: StreamSpec
  partition: number
}

interface ShardDocument {
  _id: string
  /** The replica that reads it. */
  owner?: string
  /** Everything up to here was handled. */
  position?: StreamPosition
  /** When the position was last moved, or found to be at the end of the stream. */
  readAt?: Date
}

/** Another replica has taken the shard, so this one must not write. */
export class ShardLostError extends Error {
  override name = 'ShardLostError'
}

/** Stores which replica reads which partition, and how far. A replica can move only shards that it still owns. */
export class Shards {
  readonly #shards: Collection<ShardDocument>
  readonly #replica: string

  constructor(db: Db, replica: string) {
    this.#shards = db.collection('event_shards')
    this.#replica = replica
  }

  async find(ids: readonly string[]): Promise<Map<string, ShardDocument>> {
    const found = await this.#shards.find({ _id: { $in: [...ids] } }).toArray()
    return new Map(found.map((document) => [document._id, document]))
  }

  /** False when another replica was faster. `from` is the owner that was found. */
  async take(id: string, from: string | undefined): Promise<boolean> {
    const set = { $set: { owner: this.#replica } }
    if (from !== undefined) return (await this.#shards.updateOne({ _id: id, owner: from }, set)).matchedCount > 0
    try {
      await this.#shards.updateOne({ _id: id, owner: { $exists: false } }, set, { upsert: true })
      return true
    } catch (error) {
      // The document has an owner by now, so it did not match and could not be inserted again.
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  async release(id: string): Promise<void> {
    await this.#shards.updateOne({ _id: id, owner: this.#replica }, { $unset: { owner: 1 } })
  }

  async positionOf(id: string): Promise<Pick<ShardDocument, 'position' | 'readAt'>> {
    const document = await this.#shards.findOne({ _id: id, owner: this.#replica })
    if (!document) throw new ShardLostError(id)
    return document
  }

  async move(id: string, position: StreamPosition, session?: ClientSession): Promise<void> {
    await this.#update(id, { position, readAt: new Date() }, session)
  }

  /** Records that the shard is being read although no event arrives. */
  async touch(id: string): Promise<void> {
    await this.#update(id, { readAt: new Date() })
  }

  async #update(id: string, set: Partial<ShardDocument>, session?: ClientSession): Promise<void> {
    const moved = await this.#shards.updateOne({ _id: id, owner: this.#replica }, { $set: set }, { session })
    if (!moved.matchedCount) throw new ShardLostError(id)
  }
}
