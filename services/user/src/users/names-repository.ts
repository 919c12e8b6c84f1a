import { type Change, isDuplicateKey } from '@im/service-kit'
import { type Collection, type Db, MongoBulkWriteError } from 'mongodb'

/** Another user has the name. */
export class NameTakenError extends Error {
  override readonly name = 'NameTakenError'
  readonly taken: string

  constructor(taken: string, cause: unknown) {
    super('the name is taken', { cause })
    this.taken = taken
  }
}

/**
 * Stores which user has which name: telephones, accounts, user names and invite codes share one key space (login-names.ts). The name is
 * the id of its document, so it is unique also on a sharded cluster, and of two changes that claim it at once one fails.
 */
export class NamesRepository {
  readonly #names: Collection<{ _id: string; userId: number }>

  constructor(db: Db) {
    this.#names = db.collection('names')
  }

  async ownerOf(name: string): Promise<number | undefined> {
    return (await this.#names.findOne({ _id: name }))?.userId
  }

  async ownersOf(names: readonly string[]): Promise<number[]> {
    if (!names.length) return []
    const found = await this.#names.find({ _id: { $in: [...names] } }).toArray()
    return found.map(({ userId }) => userId)
  }

  /** Claims the names that are new for the user and frees those that are gone. Throws NameTakenError. */
  async change(
    userId: number,
    before: readonly string[],
    after: readonly string[],
    { session }: Change,
  ): Promise<void> {
    const gone = before.filter((name) => !after.includes(name))
    if (gone.length) await this.#names.deleteMany({ _id: { $in: gone }, userId }, { session })
    const claimed = after.filter((name) => !before.includes(name))
    if (!claimed.length) return
    try {
      await this.#names.insertMany(
        claimed.map((name) => ({ _id: name, userId })),
        { session },
      )
    } catch (error) {
      throw isDuplicateKey(error) ? new NameTakenError(takenOf(claimed, error), error) : error
    }
  }
}

/** Names are inserted in their order, up to the first that somebody has. */
function takenOf(claimed: readonly string[], error: unknown): string {
  const [failed] = error instanceof MongoBulkWriteError ? [error.writeErrors].flat() : []
  return claimed[failed?.index ?? 0] ?? ''
}
