import type { Change } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export interface DatedKey {
  key: string
  /** Seconds. */
  time: number
}

interface Pair {
  publicKey: string
  privateKey: string
}

interface KeysDocument {
  _id: number
  /** The pair of `/user/uploadKey`. */
  pair?: Pair
  pay?: Pair
  /** Private keys of messages, encrypted by the app. */
  dhPrivateKey?: string
  rsaPrivateKey?: string
  payKeys?: DatedKey[]
  dhKeys?: DatedKey[]
  rsaKeys?: DatedKey[]
}

/** Public keys that are kept of each kind; the oldest ones go. Messages from before can no longer be read with them. */
const mostKeys = 100

/** The keys of each user. */
export class KeysRepository {
  readonly #keys: Collection<KeysDocument>

  constructor(db: Db) {
    this.#keys = db.collection('keys')
  }

  async setPair(userId: number, pair: Pair): Promise<void> {
    await this.#keys.updateOne({ _id: userId }, { $set: { pair } }, { upsert: true })
  }

  async pairOf(userId: number, member: 'pair' | 'pay'): Promise<Pair | undefined> {
    return (await this.#keys.findOne({ _id: userId }, { projection: { [member]: 1 } }))?.[member]
  }

  async publicKeyOf(userId: number): Promise<string | undefined> {
    const found = await this.#keys.findOne({ _id: userId }, { projection: { 'pair.publicKey': 1 } })
    return found?.pair?.publicKey
  }

  async setPay(userId: number, pay: Pair, time: number): Promise<void> {
    const payKeys = { $each: [{ key: pay.publicKey, time }], $slice: -mostKeys }
    await this.#keys.updateOne({ _id: userId }, { $set: { pay }, $push: { payKeys } }, { upsert: true })
  }

  async setMessageKeys(userId: number, keys: { dh?: Pair; rsa?: Pair }, time: number, change: Change): Promise<void> {
    const { dh, rsa } = keys
    const added = (pair: Pair | undefined) => pair && { $each: [{ key: pair.publicKey, time }], $slice: -mostKeys }
    await this.#keys.updateOne(
      { _id: userId },
      {
        $set: { ...(dh ? { dhPrivateKey: dh.privateKey } : {}), ...(rsa ? { rsaPrivateKey: rsa.privateKey } : {}) },
        $push: { ...(dh ? { dhKeys: added(dh) } : {}), ...(rsa ? { rsaKeys: added(rsa) } : {}) } as never,
      },
      { upsert: true, session: change.session },
    )
  }

  /** Oldest first. */
  async dhKeysOf(userId: number): Promise<DatedKey[]> {
    return (await this.#keys.findOne({ _id: userId }, { projection: { dhKeys: 1 } }))?.dhKeys ?? []
  }

  async removeUser(userId: number): Promise<void> {
    await this.#keys.deleteOne({ _id: userId })
  }
}
