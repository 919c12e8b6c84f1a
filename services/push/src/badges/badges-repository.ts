import { type Change, changeMany } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

interface BadgeDocument {
  /** userId */
  _id: number
  count: number
}

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
    return new Map(found.map(({ _id, count }) => [_id, count]))
  }

  /** Adds to the numbers of users, and returns them as they are then. */
  async raise(counts: ReadonlyMap<number, number>): Promise<Map<number, number>> {
    if (!counts.size) return new Map()
    const writes = [...counts].map(([_id, count]) => ({
      updateOne: { filter: { _id }, update: { $inc: { count } }, upsert: true },
    }))
    await changeMany(this.#badges, writes)
    return await this.of([...counts.keys()])
  }

  async removeUser(userId: number, { session }: Partial<Pick<Change, 'session'>> = {}): Promise<void> {
    await this.#badges.deleteOne({ _id: userId }, { session })
  }
}
