import { type Change, ensureIndexes } from '@im/service-kit'
import { type Collection, type Db, Long } from 'mongodb'

/** A menu of a public account. Its ids have 64 bits. */
export interface MenuDocument {
  _id: bigint
  /** 0n on top. */
  parentId: bigint
  /** The account. */
  userId: number
  name: string
  url: string
  index: number
  desc?: string
  menuId?: string
}

export class MenusRepository {
  readonly #menus: Collection<MenuDocument>
  /** Counts changes of each account: two at the same moment conflict. */
  readonly #changes: Collection<{ _id: number; count: number }>

  constructor(db: Db) {
    this.#menus = db.collection('menus')
    this.#changes = db.collection('menu_changes')
  }

  createIndexes = () => ensureIndexes(this.#menus, [{ key: { userId: 1, index: 1, _id: 1 } }])

  /** Of both levels, in their order. Numbers of 64 bits lose no digit. */
  async of(userId: number, change?: Change): Promise<MenuDocument[]> {
    const found = await this.#menus
      .find({ userId }, { useBigInt64: true, session: change?.session })
      .sort({ index: 1, _id: 1 })
      .toArray()
    return found.map((menu) => ({ ...menu, _id: BigInt(menu._id), parentId: BigInt(menu.parentId) }))
  }

  /** Writes a menu of an account whose menus were read within the change. */
  put({ _id, parentId, ...menu }: MenuDocument, change: Change): void {
    // A bigint that fits into a double would be stored as one.
    const replacement = { ...menu, parentId: Long.fromBigInt(parentId) as never }
    const filter = { _id: Long.fromBigInt(_id) as never }
    change.later(this.#menus, { replaceOne: { filter, replacement, upsert: true } })
    this.#count(menu.userId, change)
  }

  /** A menu with those below it. False when the account has none of this id. */
  async remove(userId: number, id: bigint, change: Change): Promise<boolean> {
    const all = await this.of(userId, change)
    if (!all.some(({ _id }) => _id === id)) return false
    const removed = all.filter(({ _id, parentId }) => _id === id || parentId === id)
    const ids = removed.map(({ _id }) => Long.fromBigInt(_id) as never)
    change.later(this.#menus, { deleteMany: { filter: { _id: { $in: ids } } } })
    this.#count(userId, change)
    return true
  }

  #count(userId: number, change: Change): void {
    const counted = { filter: { _id: userId }, update: { $inc: { count: 1 } }, upsert: true }
    change.later(this.#changes, { updateOne: counted })
  }

  async removeAllOf(userId: number): Promise<void> {
    await this.#menus.deleteMany({ userId })
    await this.#changes.deleteOne({ _id: userId })
  }
}
