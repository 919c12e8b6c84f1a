import { createHash } from 'node:crypto'
import { ensureIndexes, isDuplicateKey } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** A secret is good for ten minutes around its time; it is remembered a little longer. */
const rememberedMs = 900_000

/** Withdrawals whose secret was used, by what all its forms sign: the same call in another form is the same withdrawal. */
export class SpentSecretsRepository {
  readonly #secrets: Collection<{ _id: string; expireAt: Date }>

  constructor(db: Db) {
    this.#secrets = db.collection('spent-secrets')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#secrets, [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }])
  }

  /** Returns true to the one who uses a secret of the call (withdrawal-secret.ts: `signedCall`) first. */
  async spend(userId: number, call: string, now: number): Promise<boolean> {
    const _id = createHash('sha256').update(`${userId}:${call}`).digest('hex')
    try {
      await this.#secrets.insertOne({ _id, expireAt: new Date(now + rememberedMs) })
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }
}
