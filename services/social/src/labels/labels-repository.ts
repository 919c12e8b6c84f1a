import { ContractError } from '@im/contracts'
import { labelChanged } from '@im/contracts/social'
import { type Change, ensureIndexes, isDuplicateKey } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

export interface Label {
  _id: ObjectId
  userId: number
  name: string
  friends: number[]
  /** How often a friend was taken out because the friendship ended. */
  drops: number
}

/** Most labels of one user. */
export const mostLabels = 200

/** The labels of users. Each change of them is announced in the order in which it was made. */
export class LabelsRepository {
  readonly #labels: Collection<Label>
  /** Counts the labels that each user ever added: two at the same moment conflict, so that together they stay below the limit. */
  readonly #owners: Collection<{ _id: number; added: number }>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.#labels = db.collection('labels')
    this.#owners = db.collection('label_owners')
    this.#now = now
  }

  createIndexes = () => ensureIndexes(this.#labels, [{ key: { userId: 1, name: 1 }, unique: true }])

  /** In the order of their names. */
  of(userId: number, change?: Change): Promise<Label[]> {
    return this.#labels.find({ userId }, { session: change?.session }).sort({ name: 1 }).toArray()
  }

  /** Throws LabelNameTaken, and InvalidParams when the user has too many. */
  async add(userId: number, name: string, change: Change): Promise<Label> {
    const counted = { $inc: { added: 1 } }
    await this.#owners.updateOne({ _id: userId }, counted, { session: change.session, upsert: true })
    const known = await this.of(userId, change)
    if (known.some((label) => label.name === name)) throw new ContractError('LabelNameTaken')
    if (known.length >= mostLabels)
      throw new ContractError('InvalidParams', { detail: `groupName: more than ${mostLabels} labels` })
    const label: Label = { _id: new ObjectId(), userId, name, friends: [], drops: 0 }
    await asNameTaken(this.#labels.insertOne(label, { session: change.session }))
    this.#announce(userId, change)
    return label
  }

  /** Throws LabelNotFound and LabelNameTaken. */
  async rename(userId: number, id: string, name: string, change: Change): Promise<void> {
    const update = { $set: { name } }
    const renamed = await asNameTaken(this.#labels.updateOne(own(userId, id), update, { session: change.session }))
    this.#settle(renamed, userId, change)
  }

  /** Throws LabelNotFound. */
  async remove(userId: number, id: string, change: Change): Promise<void> {
    const { deletedCount } = await this.#labels.deleteOne(own(userId, id), { session: change.session })
    this.#settle({ matchedCount: deletedCount, modifiedCount: deletedCount }, userId, change)
  }

  /** Throws LabelNotFound. */
  async setFriends(userId: number, id: string, friends: number[], change: Change): Promise<void> {
    const update = { $set: { friends } }
    this.#settle(await this.#labels.updateOne(own(userId, id), update, { session: change.session }), userId, change)
  }

  /** Puts a friend into exactly these labels. Throws LabelNotFound. */
  async setLabelsOf(userId: number, friend: number, ids: readonly string[], change: Change): Promise<void> {
    const { session } = change
    const labels = await this.of(userId, change)
    const wanted = new Set(ids)
    const known = new Set(labels.map(({ _id }) => _id.toHexString()))
    if (ids.some((id) => !known.has(id))) throw new ContractError('LabelNotFound')
    const changed = labels.filter(({ _id, friends }) => wanted.has(_id.toHexString()) !== friends.includes(friend))
    if (!changed.length) return
    await this.#labels.bulkWrite(
      changed.map(({ _id }) => ({
        updateOne: {
          filter: { _id },
          update: wanted.has(_id.toHexString()) ? { $addToSet: { friends: friend } } : { $pull: { friends: friend } },
        },
      })),
      { session, ordered: false },
    )
    this.#announce(userId, change)
  }

  /**
   * Takes users out of the labels of others whose friends they are no more. It writes all labels of these others, so that it meets
   * whoever puts that friend into one at the same moment as a conflict.
   */
  async drop(ended: readonly { owner: number; friend: number }[], change: Change): Promise<void> {
    if (!ended.length) return
    const owners = new Set(ended.map(({ owner }) => owner))
    const labels = await this.#labels
      .find({ userId: { $in: [...owners] } }, { session: change.session, batchSize: 5000 })
      .project<Label>({ userId: 1, friends: 1 })
      .toArray()
    if (!labels.length) return
    for (const [friend, all] of Map.groupBy(ended, ({ friend }) => friend)) {
      const filter = { userId: { $in: all.map(({ owner }) => owner) } }
      change.later(this.#labels, { updateMany: { filter, update: { $pull: { friends: friend }, $inc: { drops: 1 } } } })
    }
    const gone = new Set(ended.map(({ owner, friend }) => `${owner}:${friend}`))
    const changed = labels.filter(({ userId, friends }) => friends.some((friend) => gone.has(`${userId}:${friend}`)))
    for (const userId of new Set(changed.map((label) => label.userId))) this.#announce(userId, change)
  }

  async removeAllOf(userId: number): Promise<void> {
    await this.#labels.deleteMany({ userId })
    await this.#owners.deleteOne({ _id: userId })
  }

  #settle(done: { matchedCount: number; modifiedCount: number }, userId: number, change: Change): void {
    if (!done.matchedCount) throw new ContractError('LabelNotFound')
    if (done.modifiedCount) this.#announce(userId, change)
  }

  #announce(userId: number, change: Change): void {
    change.announce(labelChanged, String(userId), { userId, at: this.#now() })
  }
}

const own = (userId: number, id: string) => ({ _id: ObjectId.createFromHexString(id), userId })

async function asNameTaken<T>(writing: Promise<T>): Promise<T> {
  try {
    return await writing
  } catch (error) {
    throw isDuplicateKey(error) ? new ContractError('LabelNameTaken') : error
  }
}
