import { type Change, ensureIndexes, skipOf } from '@im/service-kit'
import type { AnyBulkWriteOperation, Collection, Db } from 'mongodb'
import type { Page } from '../relations/relations-repository.ts'

/** Something that one user told another about being friends. */
export interface FriendTold {
  from: number
  to: number
  /** Of its message, 500..515. */
  type: number
  content: string
  /** Milliseconds. */
  at: number
}

export interface NewFriendDocument {
  /** `<owner>:<peer>` */
  _id: string
  userId: number
  toUserId: number
  from: number
  direction: 0 | 1
  type: number
  content: string
  /** Milliseconds. */
  createdAt: number
  changedAt: number
}

/** The last thing that each two users told each other, once for each side. */
export class NewFriendsRepository {
  readonly #rows: Collection<NewFriendDocument>

  constructor(db: Db) {
    this.#rows = db.collection('new_friends')
  }

  createIndexes = () =>
    ensureIndexes(this.#rows, [{ key: { userId: 1, changedAt: -1, _id: 1 } }, { key: { toUserId: 1 } }])

  /** Stores for both sides what users tell each other by calls: nothing is newer. */
  tell(all: readonly FriendTold[], change: Change): void {
    for (const [_id, side] of newestOf(all)) change.later(this.#rows, writingOf(_id, side))
  }

  /** Stores for both sides what messages tell, unless the sides know of something newer. */
  async tellLater(all: readonly FriendTold[], change: Change): Promise<void> {
    const newest = newestOf(all)
    if (!newest.size) return
    const stored = await this.#rows
      .find({ _id: { $in: [...newest.keys()] } }, { session: change.session })
      .project<Pick<NewFriendDocument, '_id' | 'changedAt'>>({ changedAt: 1 })
      .toArray()
    const changedAt = new Map(stored.map((row) => [row._id, row.changedAt]))
    // The message of an app follows its call, and the clocks of two machines differ a little.
    const isOlder = (_id: string, at: number) => (changedAt.get(_id) ?? 0) > at + clocksDiffer
    for (const [_id, side] of newest) if (!isOlder(_id, side.told.at)) change.later(this.#rows, writingOf(_id, side))
  }

  async page(userId: number, page: Page): Promise<NewFriendDocument[]> {
    const skip = skipOf(page)
    if (skip === undefined) return []
    return await this.#rows.find({ userId }).sort({ changedAt: -1, _id: 1 }).skip(skip).limit(page.pageSize).toArray()
  }

  /** Removes what the user told and was told. */
  async removeAllOf(userId: number): Promise<void> {
    await this.#rows.deleteMany({ userId })
    await this.#rows.deleteMany({ toUserId: userId })
  }
}

/** Milliseconds. */
const clocksDiffer = 1000

interface Side {
  owner: number
  peer: number
  told: FriendTold
}

/** The last of what each two told each other, once for each side, by the ids of their rows. */
function newestOf(all: readonly FriendTold[]): Map<string, Side> {
  const newest = new Map<string, Side>()
  for (const told of all)
    for (const [owner, peer] of [
      [told.from, told.to],
      [told.to, told.from],
    ] as const) {
      const _id = `${owner}:${peer}`
      const known = newest.get(_id)
      if (!known || known.told.at <= told.at) newest.set(_id, { owner, peer, told })
    }
  return newest
}

function writingOf(_id: string, { owner, peer, told }: Side): AnyBulkWriteOperation<NewFriendDocument> {
  const { from, type, content, at } = told
  const direction = from === owner ? 0 : 1
  const set = { userId: owner, toUserId: peer, from, direction, type, content } as const
  const update = { $set: set, $max: { changedAt: at }, $setOnInsert: { createdAt: at } }
  return { updateOne: { filter: { _id }, update, upsert: true } }
}
