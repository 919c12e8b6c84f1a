import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db, Filter } from 'mongodb'
import type { DeviceClass } from './device-class.ts'

export interface RefreshTokenDocument {
  /** SHA-256 hex of the token. */
  _id: string
  userId: number
  device: DeviceClass
  /** All tokens that came from one login. */
  family: string
  used: boolean
  expiresAt: Date
}

/** A refresh token is used once and replaced by the next of its family. Used ones are kept, so that a theft is noticed. */
export class RefreshTokensRepository {
  readonly #tokens: Collection<RefreshTokenDocument>

  constructor(db: Db) {
    this.#tokens = db.collection('refresh-tokens')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#tokens, [
      { key: { userId: 1, device: 1 } },
      { key: { family: 1 } },
      { key: { expiresAt: 1 }, expireAfterSeconds: 0 },
    ])
  }

  add(token: RefreshTokenDocument, change: Change): void {
    change.later(this.#tokens, { insertOne: { document: token } })
  }

  async find(id: string, now: number): Promise<RefreshTokenDocument | undefined> {
    return (await this.#tokens.findOne({ _id: id, expiresAt: { $gt: new Date(now) } })) ?? undefined
  }

  async exists(id: string, { session }: Change): Promise<boolean> {
    return (await this.#tokens.findOne({ _id: id }, { session, projection: { _id: 1 } })) !== null
  }

  /** Returns true to the one caller that uses the token. */
  async use(id: string, change: Change): Promise<boolean> {
    const { modifiedCount } = await this.#tokens.updateOne(
      { _id: id, used: false },
      { $set: { used: true } },
      { session: change.session },
    )
    return modifiedCount > 0
  }

  removeFamily(family: string, change: Change): void {
    this.#remove({ family }, change)
  }

  removeDevice(userId: number, device: string, change: Change): void {
    this.#remove({ userId, device: device as DeviceClass }, change)
  }

  removeOthers(userId: number, keptDevice: string, change: Change): void {
    this.#remove({ userId, device: { $ne: keptDevice as DeviceClass } }, change)
  }

  removeAll(userId: number, change: Change): void {
    this.#remove({ userId }, change)
  }

  #remove(filter: Filter<RefreshTokenDocument>, change: Change): void {
    change.later(this.#tokens, { deleteMany: { filter } })
  }
}
