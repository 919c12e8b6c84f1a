import { isDuplicateKey } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'

export type NameKind = 'telephone' | 'account'

/** The telephone or the account is another user's. */
export class NameTakenError extends Error {
  readonly kind: NameKind

  constructor(kind: NameKind) {
    super(`this ${kind} is taken`)
    this.kind = kind
  }
}

/**
 * Whose telephones and accounts are: one document each, so that two changes that want the same one meet in it, and a name that
 * is given up is free. The stand-in for MongoDB does neither with a unique index on a field that updates change.
 */
export class TakenNames {
  readonly #names: Collection<{ _id: string; userId: number }>

  constructor(db: Db) {
    this.#names = db.collection('names')
  }

  /** Throws NameTakenError. Inside the transaction that gives the name to the user. */
  async take(kind: NameKind, key: string, userId: number, session?: ClientSession): Promise<void> {
    try {
      await this.#names.insertOne({ _id: `${kind}:${key}`, userId }, { session })
    } catch (error) {
      throw isDuplicateKey(error) ? new NameTakenError(kind) : error
    }
  }

  async release(kind: NameKind, key: string, session: ClientSession): Promise<void> {
    await this.#names.deleteOne({ _id: `${kind}:${key}` }, { session })
  }
}
