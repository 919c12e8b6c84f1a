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

  async beginChange(userId: number, { session }: Change): Promise<void> {
    await this.#changes.updateOne({ _id: userId }, { $inc: { count: 1 } }, { session, upsert: true })
  }

  async put({ _id, parentId, ...menu }: MenuDocument, { session }: Change): Promise<void> {
    // A bigint that fits into a double would be stored as one.
    const stored = { ...menu, parentId: Long.fromBigInt(parentId) as never }
    await this.#menus.replaceOne({ _id: Long.fromBigInt(_id) as never }, stored, { session, upsert: true })
  }

  /** A menu with those below it. False when the account has none of this id. */
  async remove(userId: number, id: bigint, change: Change): Promise<boolean> {
    await this.beginChange(userId, change)
    const _id = Long.fromBigInt(id) as never
    const { deletedCount } = await this.#menus.deleteOne({ _id, userId }, { session: change.session })
    if (!deletedCount) return false
    const below = (await this.of(userId, change)).filter(({ parentId }) => parentId === id)
    const ids = below.map((menu) => Long.fromBigInt(menu._id) as never)
    if (ids.length) await this.#menus.deleteMany({ _id: { $in: ids } }, { session: change.session })
    return true
  }

  async removeAllOf(userId: number): Promise<void> {
    await this.#menus.deleteMany({ userId })
    await this.#changes.deleteOne({ _id: userId })
  }
}
