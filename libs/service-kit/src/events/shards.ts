import type { StreamSpec } from '@im/contracts'
import { type ClientSession, type Collection, type Db, MongoBulkWriteError } from 'mongodb'
import { GatheredQuestions } from '../gathered-questions.ts'
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

/** Where a replica reads on. */
export type ReadState = Pick<ShardDocument, 'position' | 'readAt'>

/** Stores which replica reads which partition, and how far. A replica can move only shards that it still owns. */
export class Shards {
  readonly #shards: Collection<ShardDocument>
  readonly #replica: string
  readonly #releases = new GatheredQuestions<string, never>(async (ids) => {
    const filters = ids.map((_id) => ({ _id, owner: this.#replica }))
    const update = { $unset: { owner: 1 } } as const
    await this.#shards.bulkWrite(
      filters.map((filter) => ({ updateOne: { filter, update } })),
      { ordered: false },
    )
    return []
  })

  constructor(db: Db, replica: string) {
    this.#shards = db.collection('event_shards')
    this.#replica = replica
  }

  async ownersOf(ids: readonly string[]): Promise<Map<string, string>> {
    const owned = { _id: { $in: [...ids] }, owner: { $exists: true } }
    const found = await this.#shards.find(owned, { projection: { owner: 1 } }).toArray()
    return new Map(found.map(({ _id, owner = '' }) => [_id, owner]))
  }

  /** Takes shards from the owners that were found. Returns those that this replica owns now: another may have been faster. */
  async take(shards: readonly { id: string; from: string | undefined }[]): Promise<Map<string, ReadState>> {
    const now = new Date()
    const update = { $set: { owner: this.#replica }, $setOnInsert: { readAt: now } }
    const takings = shards.map(({ id, from }) => {
      const filter = { _id: id, owner: from ?? { $exists: false } }
      return { updateOne: { filter, update, upsert: from === undefined } }
    })
    await this.#shards.bulkWrite(takings, { ordered: false }).catch(demandOnlyDuplicates)
    const ids = shards.map(({ id }) => id)
    const taken = await this.#shards.find({ _id: { $in: ids }, owner: this.#replica }).toArray()
    return new Map(taken.map((document) => [document._id, document]))
  }

  /** Those of a service that ends are given back together. */
  async release(id: string): Promise<void> {
    await this.#releases.ask(id)
  }

  async stateOf(id: string): Promise<ReadState> {
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

/** A shard has an owner by now, so it did not match and could not be inserted again. */
function demandOnlyDuplicates(error: unknown): void {
  const isKnown =
    error instanceof MongoBulkWriteError && [error.writeErrors].flat().every(({ code }) => code === 11_000)
  if (!isKnown) throw error
}
