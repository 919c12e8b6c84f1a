import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

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

  constructor(db: Db) {
    this.#menus = db.collection('menus')
  }

  createIndexes = () => ensureIndexes(this.#menus, [{ key: { userId: 1, index: 1, _id: 1 } }])

  /** Of both levels, in their order. Numbers of 64 bits lose no digit. */
  async of(userId: number): Promise<MenuDocument[]> {
    const found = await this.#menus.find({ userId }, { useBigInt64: true }).sort({ index: 1, _id: 1 }).toArray()
    return found.map((menu) => ({ ...menu, parentId: BigInt(menu.parentId) }))
  }

  async removeAllOf(userId: number): Promise<void> {
    await this.#menus.deleteMany({ userId })
  }
}
