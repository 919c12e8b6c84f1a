import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export type ChangeTag = 'friend' | 'room' | 'label'

/** Something in the lists of a user changed. */
export interface OwnChange {
  userId: number
  tag: ChangeTag
  /** The other user, the room, or nothing for labels. */
  friendId: string
  /** ms */
  at: number
}

interface OwnChangeDocument {
  /** `<userId> <tag> <friendId>`: the latest change counts. */
  _id: string
  userId: number
  tag: ChangeTag
  friendId: string
  /** Seconds. */
  operationTime: number
  expireAt: Date
}

const keptMs = 30 * 86_400_000
const mostListed = 1000
const atOnce = 1000

/** What changed in the lists of each user, for devices that were away. */
export class OwnChangesRepository {
  readonly #changes: Collection<OwnChangeDocument>

  constructor(db: Db) {
    this.#changes = db.collection('own-changes')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#changes, [
      { key: { userId: 1, operationTime: 1 } },
      { key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ])
  }

  /** Telling a change again, or an older one, changes nothing. */
  async put(changes: readonly OwnChange[]): Promise<void> {
    for (let from = 0; from < changes.length; from += atOnce)
      await this.#changes.bulkWrite(
        changes.slice(from, from + atOnce).map(({ userId, tag, friendId, at }) => ({
          updateOne: {
            filter: { _id: `${userId} ${tag} ${friendId}` },
            update: {
              $max: { operationTime: Math.floor(at / 1000), expireAt: new Date(at + keptMs) },
              $setOnInsert: { userId, tag, friendId },
            },
            upsert: true,
          },
        })),
        { ordered: false },
      )
  }

  /** Changes since a time (seconds), the oldest first. */
  async since(userId: number, seconds: number): Promise<OwnChangeDocument[]> {
    return this.#changes
      .find({ userId, operationTime: { $gte: seconds } })
      .sort({ operationTime: 1 })
      .limit(mostListed)
      .toArray()
  }

  async removeUser(userId: number): Promise<void> {
    await this.#changes.deleteMany({ userId })
  }
}
