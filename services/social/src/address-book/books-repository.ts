import { type Change, ensureIndexes, skipOf } from '@im/service-kit'
import type { Collection, Db, ObjectId } from 'mongodb'
import type { Page } from '../relations/relations-repository.ts'

/** A number in the address book of a user. */
export interface Contact {
  _id: ObjectId
  /** The owner, and their telephone (area code + number) at the time. */
  userId: number
  telephone: string
  /** Area code + number. */
  toTelephone: string
  toRemarkName: string
  /** 0: nobody who wants to be found has it. */
  toUserId: number
  registerEd: 0 | 1
  /** Seconds. */
  registerTime: number
  /** They were friends before the number was found. */
  wereFriends: boolean
}

/** Whom a number was found to belong to. */
export type Found = Pick<Contact, 'toUserId' | 'registerTime' | 'wereFriends'>

/** Rows of one command. */
const rowsAtOnce = 1000

/** The address books that users have uploaded. */
export class BooksRepository {
  readonly #contacts: Collection<Contact>
  readonly #owners: Collection<{ _id: number; uploads: number }>

  constructor(db: Db) {
    this.#contacts = db.collection('contacts')
    this.#owners = db.collection('contact_owners')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#contacts, [
      { key: { userId: 1, toTelephone: 1 }, unique: true },
      { key: { userId: 1, registerEd: 1, registerTime: -1, _id: 1 } },
      { key: { toTelephone: 1, _id: 1 } },
      { key: { toUserId: 1, userId: 1 } },
    ])
  }

  /** Two uploads of one user follow each other, so that together they stay below the limit. */
  beginUpload(userId: number, change: Change): void {
    const counted = { filter: { _id: userId }, update: { $inc: { uploads: 1 } }, upsert: true }
    change.later(this.#owners, { updateOne: counted })
  }

  async count(userId: number, { session }: Change): Promise<number> {
    return await this.#contacts.countDocuments({ userId }, { session })
  }

  /** The rows of these numbers, as the change sees them. */
  async byTelephones(userId: number, telephones: readonly string[], { session }: Change): Promise<Contact[]> {
    const batchSize = telephones.length + 1
    return await this.#contacts
      .find({ userId, toTelephone: { $in: [...telephones] } }, { session, batchSize })
      .toArray()
  }

  add(contacts: readonly Contact[], change: Change): void {
    for (const document of contacts) change.later(this.#contacts, { insertOne: { document } })
  }

  /** Writes a row that was read within the change. */
  replace({ _id, ...replacement }: Contact, change: Change): void {
    change.later(this.#contacts, { replaceOne: { filter: { _id }, replacement } })
  }

  remove(userId: number, telephones: readonly string[], change: Change): void {
    const filter = { userId, toTelephone: { $in: [...telephones] } }
    if (telephones.length) change.later(this.#contacts, { deleteMany: { filter } })
  }

  /** Notes whom numbers belong to, or that nobody has them now. Rows that say something else than `was` stay. */
  async settle(changes: readonly { was: Contact; found: Found | undefined }[]): Promise<void> {
    for (let at = 0; at < changes.length; at += rowsAtOnce)
      await this.#contacts.bulkWrite(
        changes.slice(at, at + rowsAtOnce).map(({ was: { _id, toUserId }, found }) => ({
          updateOne: { filter: { _id, toUserId }, update: { $set: settledFields(found) } },
        })),
        { ordered: false },
      )
  }

  /** Rows with any number but this one say no longer that it belongs to the user. */
  async forgetNumbers(userId: number, but: string | undefined): Promise<void> {
    const others = but === undefined ? {} : { toTelephone: { $ne: but } }
    await this.#contacts.updateMany({ toUserId: userId, ...others }, { $set: unregistered })
  }

  /** Everyone who has this number, from below the last one on. */
  async ownersOf(toTelephone: string, after: ObjectId | undefined, limit: number): Promise<Contact[]> {
    return await this.#contacts
      .find({ toTelephone, ...(after ? { _id: { $gt: after } } : {}) })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray()
  }

  /** The number of these rows was registered. */
  async register(ids: readonly ObjectId[], found: Found, { session }: Change): Promise<void> {
    await this.#contacts.updateMany({ _id: { $in: [...ids] } }, { $set: registered(found) }, { session })
  }

  async registeredOf(userId: number, limit: number): Promise<Contact[]> {
    return await this.#contacts
      .find({ userId, registerEd: 1 }, { batchSize: limit })
      .sort({ registerTime: -1, _id: 1 })
      .limit(limit)
      .toArray()
  }

  async registeredPage(userId: number, page: Page): Promise<Contact[]> {
    const skip = skipOf(page)
    if (skip === undefined) return []
    return await this.#contacts
      .find({ userId, registerEd: 1 })
      .sort({ registerTime: -1, _id: 1 })
      .skip(skip)
      .limit(page.pageSize)
      .toArray()
  }

  /** Those of `others` who have the user in their address books. */
  async ownersAmong(others: readonly number[], userId: number): Promise<Set<number>> {
    return new Set((await this.#pointing(userId, others)).map((contact) => contact.userId))
  }

  /** Those of `others` whom the user has in their address book, and who have the user in theirs. */
  async mutual(userId: number, others: readonly number[]): Promise<Set<number>> {
    const [known, knowing] = await Promise.all([
      this.#contacts
        .find({ userId, toUserId: { $in: [...others] } })
        .project<{ toUserId: number }>({ toUserId: 1 })
        .toArray(),
      this.ownersAmong(others, userId),
    ])
    return new Set(known.map(({ toUserId }) => toUserId).filter((other) => knowing.has(other)))
  }

  async #pointing(toUserId: number, owners: readonly number[]): Promise<{ userId: number }[]> {
    return await this.#contacts
      .find({ toUserId, userId: { $in: [...owners] } }, { batchSize: owners.length + 1 })
      .project<{ userId: number }>({ _id: 0, userId: 1 })
      .toArray()
  }

  /** Removes the address book of a user; in those of others the number has nobody now. */
  async removeAllOf(userId: number): Promise<void> {
    await this.#contacts.deleteMany({ userId })
    await this.forgetNumbers(userId, undefined)
    await this.#owners.deleteOne({ _id: userId })
  }
}

/** What a row says of whom its number belongs to. */
export const settledFields = (found: Found | undefined) => (found ? registered(found) : unregistered)

const registered = (found: Found) => ({ ...found, registerEd: 1 as const })
const unregistered = { toUserId: 0, registerEd: 0 as const, registerTime: 0, wereFriends: false }
