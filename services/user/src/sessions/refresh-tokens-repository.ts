import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
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

  async add(token: RefreshTokenDocument, change: Change): Promise<void> {
    await this.#tokens.insertOne(token, { session: change.session })
  }

  async find(id: string, now: number): Promise<RefreshTokenDocument | undefined> {
    return (await this.#tokens.findOne({ _id: id, expiresAt: { $gt: new Date(now) } })) ?? undefined
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

  async removeFamily(family: string, change: Change): Promise<void> {
    await this.#tokens.deleteMany({ family }, { session: change.session })
  }

  async removeDevice(userId: number, device: string, change: Change): Promise<void> {
    await this.#tokens.deleteMany({ userId, device: device as DeviceClass }, { session: change.session })
  }

  async removeOthers(userId: number, keptDevice: string, change: Change): Promise<void> {
    await this.#tokens.deleteMany({ userId, device: { $ne: keptDevice as DeviceClass } }, { session: change.session })
  }

  async removeAll(userId: number, change: Change): Promise<void> {
    await this.#tokens.deleteMany({ userId }, { session: change.session })
  }
}
