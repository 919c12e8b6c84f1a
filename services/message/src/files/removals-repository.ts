import type { FileAddress } from '@im/contracts/message'
import { changeMany } from '@im/service-kit'
import { type ClientSession, type Collection, type Db, type Document, ObjectId } from 'mongodb'

/**
 * Something that is to be removed from the store. It is written with the change that makes it so, and done by a replica that has
 * the store.
 * - a file that a message of `owner`, or a room by them, showed, if nothing else shows it;
 * - everything of a user whose account was deleted;
 * - the history and the avatar of a room that was dissolved.
 */
export type Removal =
  | { _id: `file:${string}:${number}`; name: string; owner: number }
  | { _id: `user:${number}`; user: number }
  | { _id: `room:${string}`; jid: string }

/**
 * `stamp` is another one each time that it is asked for: what is asked for while it is done is done again. `againAt`: it was done, and
 * is done once more then.
 */
export type StampedRemoval = Removal & { stamp?: ObjectId; againAt?: Date }

/** After this time (ms) nothing is under way any more that began before. */
const underWay = 3_600_000

export class RemovalsRepository {
  readonly #removals: Collection<StampedRemoval & Document>

  constructor(db: Db) {
    this.#removals = db.collection('fileRemovals')
  }

  async addFiles(files: readonly Pick<FileAddress, 'name' | 'owner'>[], session?: ClientSession): Promise<void> {
    await this.#add(
      files.map(({ name, owner }) => ({ _id: `file:${name}:${owner}`, name, owner })),
      session,
    )
  }

  async addUser(user: number): Promise<void> {
    await this.#add([{ _id: `user:${user}`, user }])
  }

  async addRoom(jid: string): Promise<void> {
    await this.#add([{ _id: `room:${jid}`, jid }])
  }

  async next(limit: number, now: number): Promise<StampedRemoval[]> {
    return await this.#removals
      .find({ againAt: { $not: { $gt: new Date(now) } } }, { sort: { _id: 1 }, hint: { _id: 1 } })
      .limit(limit)
      .toArray()
  }

  /**
   * But for those that were asked for again meanwhile. Users and rooms are removed once more later: an upload or a message that was
   * under way may have come behind the removal.
   */
  async done(removals: readonly StampedRemoval[], now: number): Promise<void> {
    const update = { $set: { againAt: new Date(now + underWay) } }
    const changes = removals.map((removal) => {
      const filter = { _id: removal._id, stamp: removal.stamp ?? { $exists: false } }
      return 'name' in removal || removal.againAt ? { deleteOne: { filter } } : { updateOne: { filter, update } }
    })
    if (changes.length) await changeMany(this.#removals, changes as never, { ordered: false })
  }

  async #add(removals: readonly Removal[], session?: ClientSession): Promise<void> {
    if (!removals.length) return
    await this.#removals.bulkWrite(
      removals.map(({ _id, ...rest }) => ({
        updateOne: {
          filter: { _id },
          update: { $set: { ...rest, stamp: new ObjectId() }, $unset: { againAt: '' } },
          upsert: true,
        },
      })) as never,
      { session, ordered: false },
    )
  }
}
