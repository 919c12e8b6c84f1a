import type { Change } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'

interface BadgeDocument {
  /** userId */
  _id: number
  count: number
}

/** Apps read the number into 32 bits. */
const highest = 2 ** 31 - 1

/** Numbers on the icons of apps: what the app said last, and one more for each message that was pushed since. */
export class BadgesRepository {
  readonly #badges: Collection<BadgeDocument>

  constructor(db: Db) {
    this.#badges = db.collection('badges')
  }

  async set(userId: number, count: number): Promise<void> {
    await this.#badges.updateOne({ _id: userId }, { $set: { count } }, { upsert: true })
  }

  async of(userIds: readonly number[]): Promise<Map<number, number>> {
    if (!userIds.length) return new Map()
    const found = await this.#badges.find({ _id: { $in: [...userIds] } }, { batchSize: userIds.length + 1 }).toArray()
    return new Map(found.map(({ _id, count }) => [_id, Math.min(count, highest)]))
  }

  /** Adds to the numbers of users within a change. */
  async raise(counts: ReadonlyMap<number, number>, session: ClientSession): Promise<void> {
    if (!counts.size) return
    await this.#badges.bulkWrite(
      [...counts].map(([_id, count]) => ({
        updateOne: { filter: { _id }, update: { $inc: { count } }, upsert: true },
      })),
      { session, ordered: false },
    )
  }

  async removeUser(userId: number, { session }: Partial<Pick<Change, 'session'>> = {}): Promise<void> {
    await this.#badges.deleteOne({ _id: userId }, { session })
  }
}
