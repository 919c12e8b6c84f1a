import { noticeUserId } from '@im/contracts/user'
import { type Change, CopiedRows, ensureIndexes, escapeRegex } from '@im/service-kit'
import type { Db } from 'mongodb'

/** What this service keeps of each user: its copy of facts of the user service. */
export interface Person {
  _id: number
  nickname: string
  userType: number
  /** They got the friends whom everybody begins with. */
  isWelcomed?: true
  /** Deleted. The id stays, because rows that were made in the same moment may still name it. */
  gone?: true
}

export type KnownName = Pick<Person, 'nickname' | 'userType' | 'gone'>

const publicAccount = 2

export class PeopleRepository {
  readonly #rows: CopiedRows<Person>

  constructor(db: Db) {
    this.#rows = new CopiedRows(db, 'people')
  }

  get #people() {
    return this.#rows.collection
  }

  createIndexes = () => ensureIndexes(this.#people, [{ key: { userType: 1, _id: 1 } }])

  /** Those who are known, by userId. */
  find(userIds: readonly number[], change?: Pick<Change, 'session'>): Promise<Map<number, KnownName>> {
    return this.#rows.find(userIds, change)
  }

  async isKnown(userId: number): Promise<boolean> {
    return (await this.#people.findOne({ _id: userId, gone: { $exists: false } }, { projection: { _id: 1 } })) !== null
  }

  /** Stores users as they are now. */
  put(people: readonly Person[], change: Change): Promise<void> {
    return this.#rows.put(people, change)
  }

  /** A user begins as this. Whatever is known of them is newer. True for the one change that welcomes them. */
  async welcome({ _id, ...facts }: Person, { session }: Change): Promise<boolean> {
    const update = { $setOnInsert: facts, $set: { isWelcomed: true as const } }
    const before = await this.#people.findOneAndUpdate({ _id }, update, {
      session,
      upsert: true,
      returnDocument: 'before',
    })
    return !before?.isWelcomed && !before?.gone
  }

  async rename(userId: number, nickname: string, { session }: Change): Promise<void> {
    await this.#people.updateOne({ _id: userId }, { $set: { nickname } }, { session })
  }

  async markGone(userId: number): Promise<void> {
    await this.#people.replaceOne({ _id: userId }, { nickname: '', userType: 0, gone: true }, { upsert: true })
  }

  /** Public accounts whose nickname contains the text, in the order of their ids. The sender of notices is nobody to follow. */
  async publicAccounts(text: string, skip: number, limit: number): Promise<Person[]> {
    const contains = text ? { nickname: { $regex: escapeRegex(text), $options: 'i' } } : {}
    return await this.#people
      .find({ userType: publicAccount, _id: { $ne: noticeUserId }, gone: { $exists: false }, ...contains })
      .sort({ _id: 1 })
      .skip(skip)
      .limit(limit)
      .toArray()
  }

  /** Ids of public accounts from `first` on. */
  async publicAccountIds(first: number): Promise<number[]> {
    const found = await this.#people
      .find({ userType: publicAccount, _id: { $gte: first } }, { batchSize: 10_000 })
      .project<{ _id: number }>({ _id: 1 })
      .toArray()
    return found.map(({ _id }) => _id)
  }

  /** Ids of users above `after`, ascending. */
  async idsAfter(after: number, limit: number): Promise<number[]> {
    const found = await this.#people
      .find({ _id: { $gt: after }, gone: { $exists: false } })
      .project<{ _id: number }>({ _id: 1 })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray()
    return found.map(({ _id }) => _id)
  }
}
