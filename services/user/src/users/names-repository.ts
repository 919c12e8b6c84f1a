import type { Change } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

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

  /** Claims the names that are new for the user and frees those that are gone. The change throws NameTakenError. */
  change(userId: number, before: readonly string[], after: readonly string[], change: Change): void {
    const gone = before.filter((name) => !after.includes(name))
    if (gone.length) change.later(this.#names, { deleteMany: { filter: { _id: { $in: gone }, userId } } })
    for (const name of after.filter((name) => !before.includes(name)))
      change.later(
        this.#names,
        { insertOne: { document: { _id: name, userId } } },
        (cause) => new NameTakenError(name, cause),
      )
  }
}
