import { type Change, CopiedRows, ensureIndexes } from '@im/service-kit'
import type { Db } from 'mongodb'

/** What a user says about another that matters for notifications. Rows that say nothing are not kept. */
export interface FriendRow {
  /** `<owner>:<peer>` */
  _id: string
  owner: number
  peer: number
  remark: string
  /** The owner wants no notifications about what the peer writes. */
  isMuted: boolean
}

export const friendRowId = (owner: number, peer: number): string => `${owner}:${peer}`

export class FriendRowsRepository {
  readonly #rows: CopiedRows<FriendRow>

  constructor(db: Db) {
    this.#rows = new CopiedRows(db, 'friend_rows')
  }

  createIndexes = () => ensureIndexes(this.#rows.collection, [{ key: { owner: 1 } }, { key: { peer: 1 } }])

  find(ids: readonly string[]): Promise<Map<string, FriendRow>> {
    return this.#rows.find(ids)
  }

  async put(rows: readonly Omit<FriendRow, '_id'>[], change: Change): Promise<void> {
    const all = rows.map((row) => ({ _id: friendRowId(row.owner, row.peer), ...row }))
    const says = ({ remark, isMuted }: FriendRow) => remark !== '' || isMuted
    await this.#rows.replace(all.filter(says), change)
    await this.#rows.remove(
      all.filter((row) => !says(row)).map(({ _id }) => _id),
      change,
    )
  }

  async remove(rows: readonly Pick<FriendRow, 'owner' | 'peer'>[], change: Change): Promise<void> {
    await this.#rows.remove(
      rows.map(({ owner, peer }) => friendRowId(owner, peer)),
      change,
    )
  }

  async removeUser(userId: number, { session }: Change): Promise<void> {
    await this.#rows.collection.deleteMany({ owner: userId }, { session })
    await this.#rows.collection.deleteMany({ peer: userId }, { session })
  }
}
