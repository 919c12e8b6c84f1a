import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'
import { type Owner, ownerOfUser, ownersOf } from './owners.ts'

/**
 * A message that an owner has lost: written in the transaction that hides or removes it. Searches leave it out from that moment;
 * the indexer takes its text out of the index.
 */
export interface Removal {
  /** `<message id as hex>:<owner>` */
  _id: string
  owner: Owner
  timeSend: number
  /** When the indexer looks for it. */
  dueAt: Date
}

type Lost = { _id: ObjectId; conversation: string; timeSend: number; searchable: boolean }

export const removalId = (hexId: string, owner: Owner) => `${hexId}:${owner}`
export const messageOf = ({ _id }: Pick<Removal, '_id'>) => _id.slice(0, 24)

export class SearchRemovals {
  readonly collection: Collection<Removal>

  constructor(db: Db) {
    this.collection = db.collection<Removal>('searchRemovals')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { owner: 1 } }, { key: { dueAt: 1 } }])
  }

  /** Messages nobody sees any more. */
  async addForAll(messages: readonly Lost[], session: ClientSession): Promise<void> {
    await this.#add(messages, ({ conversation }) => ownersOf(conversation), session)
  }

  /** Messages of single chats that one user has deleted. */
  async addForUser(messages: readonly Lost[], user: number, session: ClientSession): Promise<void> {
    await this.#add(messages, () => [ownerOfUser(user)], session)
  }

  async #add(messages: readonly Lost[], of: (message: Lost) => Owner[], session: ClientSession): Promise<void> {
    const dueAt = new Date()
    const removals = messages
      .filter(({ searchable }) => searchable)
      .flatMap((message) =>
        of(message).map((owner) => ({ id: removalId(message._id.toHexString(), owner), owner, message })),
      )
    if (!removals.length) return
    await this.collection.bulkWrite(
      removals.map(({ id, owner, message: { timeSend } }) => ({
        updateOne: {
          filter: { _id: id },
          update: { $set: { owner, timeSend, dueAt } },
          upsert: true,
        },
      })),
      { session, ordered: false },
    )
  }

  /** Ids (hex) of messages that these owners have lost. */
  async of(owners: readonly Owner[]): Promise<Set<string>> {
    const found = await this.collection
      .find({ owner: { $in: [...owners] } }, { batchSize: 5000 })
      .project<{ _id: string }>({ _id: 1 })
      .toArray()
    return new Set(found.map(messageOf))
  }

  /** Those that are not taken out yet, from a message id on. */
  async from(id: ObjectId, limit: number, session: ClientSession): Promise<Set<string>> {
    const found = await this.collection
      .find({ _id: { $gte: id.toHexString() } }, { session, batchSize: 5000 })
      .sort({ _id: 1 })
      .limit(limit)
      .project<{ _id: string }>({ _id: 1 })
      .toArray()
    return new Set(found.map(({ _id }) => _id))
  }

  async due(now: number, limit: number, session: ClientSession): Promise<Removal[]> {
    return await this.collection
      .find({ dueAt: { $lte: new Date(now) } }, { session })
      .sort({ dueAt: 1 })
      .limit(limit)
      .toArray()
  }

  /** Of messages that are in no part of the index any more. */
  async remove(ids: readonly string[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }

  /** For what still waits to get into the index. */
  async postpone(ids: readonly string[], until: number, session: ClientSession): Promise<void> {
    if (!ids.length) return
    await this.collection.updateMany({ _id: { $in: [...ids] } }, { $set: { dueAt: new Date(until) } }, { session })
  }
}
