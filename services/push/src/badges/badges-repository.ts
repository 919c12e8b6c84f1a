import type { Collection, Db } from 'mongodb'

/** Numbers on the icons of apps. */
export class BadgesRepository {
  readonly #badges: Collection<{ _id: number; count: number }>

  constructor(db: Db) {
    this.#badges = db.collection('badges')
  }

  async set(userId: number, count: number): Promise<void> {
    await this.#badges.updateOne({ _id: userId }, { $set: { count } }, { upsert: true })
  }

  async removeUser(userId: number): Promise<void> {
    await this.#badges.deleteOne({ _id: userId })
  }
}
