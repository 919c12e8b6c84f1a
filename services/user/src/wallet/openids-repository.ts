import { createHash } from 'node:crypto'
import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export const openidsCollection = 'openids'

export interface OpenidDocument {
  /** The openid: it belongs to one user. */
  _id: string
  userId: number
  /** SHA-256 of the code it was bound with. */
  code: string
}

const hashOf = (code: string) => createHash('sha256').update(code).digest('hex')

/** WeChat accounts of users. */
export class OpenidsRepository {
  readonly #openids: Collection<OpenidDocument>
  /** Counts what each user has bound: two bindings of one user at the same moment conflict, so only one of them stays. */
  readonly #owners: Collection<{ _id: number; bindings: number }>

  constructor(db: Db) {
    this.#openids = db.collection(openidsCollection)
    this.#owners = db.collection('openid-owners')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#openids, [{ key: { userId: 1 } }])
  }

  async of(userId: number): Promise<string | undefined> {
    return (await this.#openids.findOne({ userId }))?._id
  }

  /** The openid that the user bound with this code before. */
  async boundWith(userId: number, code: string): Promise<string | undefined> {
    const found = await this.#openids.findOne({ userId })
    return found?.code === hashOf(code) ? found._id : undefined
  }

  /** Whoever had the openid before loses it, and the user loses another one. */
  bind(openid: string, userId: number, code: string, change: Change): void {
    const counting = { filter: { _id: userId }, update: { $inc: { bindings: 1 } }, upsert: true }
    change.later(this.#owners, { updateOne: counting })
    change.later(this.#openids, { deleteMany: { filter: { userId, _id: { $ne: openid } } } })
    const binding = { filter: { _id: openid }, update: { $set: { userId, code: hashOf(code) } }, upsert: true }
    change.later(this.#openids, { updateOne: binding })
  }

  async removeUser(userId: number): Promise<void> {
    await this.#openids.deleteMany({ userId })
    await this.#owners.deleteOne({ _id: userId })
  }
}
