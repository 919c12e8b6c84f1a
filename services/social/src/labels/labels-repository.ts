import { ContractError } from '@im/contracts'
import { labelChanged } from '@im/contracts/social'
import { type Change, ensureIndexes, indexedAnd, isDuplicateKey } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

export interface Label {
  _id: ObjectId
  userId: number
  name: string
  friends: number[]
}

/** Most labels of one user. */
export const mostLabels = 200

/** Most friends in all labels of one user together, each counted in each label: a list of labels names them all. */
const mostInLabels = 50_000

interface Owner {
  _id: number
  /** Labels ever added: two that add one at the same moment conflict, so that together they stay below the limit. */
  added?: number
  /** Who puts a friend into a label and who ends that friendship at the same moment conflict here. */
  meetings?: number
}

/**
 * The labels of users. Each change of them is announced in the order in which it was made. They may hold many friends: only who lists
 * labels reads these.
 */
export class LabelsRepository {
  readonly #labels: Collection<Label>
  readonly #owners: Collection<Owner>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.#labels = db.collection('labels')
    this.#owners = db.collection('label_owners')
    this.#now = now
  }

  createIndexes = () => ensureIndexes(this.#labels, [{ key: { userId: 1, name: 1 }, unique: true }])

  /** In the order of their names. Where they hold more friends than may be now, those of the last labels are left out. */
  async of(userId: number): Promise<Label[]> {
    const found = this.#labels
      .find({ userId }, { batchSize: mostLabels + 1 })
      .project<Label>({ friends: { $slice: mostInLabels } })
      .sort({ name: 1 })
    const labels: Label[] = []
    let room = mostInLabels
    for await (const label of found) {
      const friends = label.friends.slice(0, room)
      labels.push({ ...label, friends })
      room -= friends.length
    }
    return labels
  }

  /** Throws LabelNameTaken, and InvalidParams when the user has too many. */
  async add(userId: number, name: string, change: Change): Promise<Label> {
    const counted = { $inc: { added: 1 } }
    await this.#owners.updateOne({ _id: userId }, counted, { session: change.session, upsert: true })
    const known = await this.#labels
      .find({ userId }, { session: change.session, batchSize: mostLabels })
      .project<Pick<Label, 'name'>>({ _id: 0, name: 1 })
      .toArray()
    if (known.some((label) => label.name === name)) throw new ContractError('LabelNameTaken')
    if (known.length >= mostLabels)
      throw new ContractError('InvalidParams', { detail: `groupName: more than ${mostLabels} labels` })
    const label: Label = { _id: new ObjectId(), userId, name, friends: [] }
    change.later(
      this.#labels,
      { insertOne: { document: label } },
      (cause) => new ContractError('LabelNameTaken', { cause }),
    )
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

  /** Throws LabelNotFound, and InvalidParams when all labels together would hold too many. */
  async setFriends(userId: number, id: string, friends: number[], change: Change): Promise<void> {
    const labels = await this.#sizes(userId, change)
    const before = labels.find(({ _id }) => _id.toHexString() === id)?.size ?? 0
    demandRoom(labels, friends.length - before)
    const update = { $set: { friends } }
    this.#meet([userId], change)
    this.#settle(await this.#labels.updateOne(own(userId, id), update, { session: change.session }), userId, change)
  }

  /** Puts a friend into exactly these labels. Throws LabelNotFound, and InvalidParams as `setFriends`. */
  async setLabelsOf(userId: number, friend: number, ids: readonly string[], change: Change): Promise<void> {
    const labels = await this.#sizes(userId, change, friend)
    const wanted = new Set(ids)
    const known = new Set(labels.map(({ _id }) => _id.toHexString()))
    if (ids.some((id) => !known.has(id))) throw new ContractError('LabelNotFound')
    const changed = labels.filter(({ _id, has }) => wanted.has(_id.toHexString()) !== has)
    if (!changed.length) return
    demandRoom(
      labels,
      changed.reduce((more, { has }) => more + (has ? -1 : 1), 0),
    )
    this.#meet([userId], change)
    for (const { _id, has } of changed) {
      const update = has ? { $pull: { friends: friend } } : { $addToSet: { friends: friend } }
      change.later(this.#labels, { updateOne: { filter: { _id }, update } })
    }
    this.#announce(userId, change)
  }

  /** How many friends each label holds, and whether one of them does. */
  async #sizes(userId: number, { session }: Change, friend = 0): Promise<Size[]> {
    const project = { size: { $size: '$friends' }, has: { $in: [friend, '$friends'] } }
    return await this.#labels
      .aggregate<Size>([{ $match: { userId } }, { $project: project }], { session, batchSize: mostLabels + 1 })
      .toArray()
  }

  /** Takes users out of the labels of others whose friends they are no more. */
  async drop(ended: readonly { owner: number; friend: number }[], change: Change): Promise<void> {
    if (!ended.length) return
    const owners = ended.map(({ owner }) => owner)
    this.#meet(owners, change)
    const friends = ended.map(({ friend }) => friend)
    const holding = await this.#labels
      .find(indexedAnd<Label>({ userId: { $in: owners } }, { friends: { $in: friends } }), {
        ...{ session: change.session, batchSize: 5000 },
      })
      .project<Pick<Label, 'userId'>>({ _id: 0, userId: 1 })
      .toArray()
    if (!holding.length) return
    for (const [friend, all] of Map.groupBy(ended, (one) => one.friend)) {
      const filter = indexedAnd<Label>({ userId: { $in: all.map(({ owner }) => owner) } }, { friends: friend })
      change.later(this.#labels, { updateMany: { filter, update: { $pull: { friends: friend } } } })
    }
    for (const userId of new Set(holding.map((label) => label.userId))) this.#announce(userId, change)
  }

  /** Of those who never had a label there is nothing to meet. */
  #meet(owners: readonly number[], change: Change): void {
    const filter = { _id: { $in: [...owners] } }
    change.later(this.#owners, { updateMany: { filter, update: { $inc: { meetings: 1 } } } })
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

interface Size {
  _id: ObjectId
  size: number
  has: boolean
}

/** Who holds more than that from before may still take some out. */
function demandRoom(labels: readonly Size[], added: number): void {
  const sum = labels.reduce((all, { size }) => all + size, added)
  if (added > 0 && sum > mostInLabels)
    throw new ContractError('InvalidParams', { detail: `labels with more than ${mostInLabels} friends together` })
}

const own = (userId: number, id: string) => ({ _id: ObjectId.createFromHexString(id), userId })

async function asNameTaken<T>(writing: Promise<T>): Promise<T> {
  try {
    return await writing
  } catch (error) {
    throw isDuplicateKey(error) ? new ContractError('LabelNameTaken') : error
  }
}
