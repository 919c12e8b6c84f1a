import { createHash } from 'node:crypto'
import { ContractError } from '@im/contracts'
import { type Change, ensureIndexes } from '@im/service-kit'
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

  /** Marks a secret of the call (withdrawal-secret.ts: `signedCall`) as used. The change throws SignatureInvalid when it was. */
  spend(userId: number, call: string, now: number, change: Change): void {
    const _id = createHash('sha256').update(`${userId}:${call}`).digest('hex')
    const write = { insertOne: { document: { _id, expireAt: new Date(now + rememberedMs) } } }
    change.later(this.#secrets, write, (cause) => {
      return new ContractError('SignatureInvalid', { detail: 'the secret was used before', cause })
    })
  }
}
