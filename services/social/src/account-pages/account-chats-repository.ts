import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** A user who has written to a public account. */
interface AccountChat {
  /** `<account>:<user>` */
  _id: string
  account: number
  user: number
  /** When the last message came (ms). */
  at: number
}

/** Chats of an account that are counted. */
const mostCounted = 1_000_000

/** Who has written to which public account, and when last: a list of chats of an account that has written to all is too long. */
export class AccountChatsRepository {
  readonly #chats: Collection<AccountChat>

  constructor(db: Db) {
    this.#chats = db.collection('account_chats')
  }

  createIndexes = () => ensureIndexes(this.#chats, [{ key: { account: 1, at: -1, _id: -1 } }, { key: { user: 1 } }])

  /** Notes that users have written. Noting it again changes nothing. */
  async note(written: readonly { to: number; from: number; arrivedAt: number }[]): Promise<void> {
    if (!written.length) return
    await this.#chats.bulkWrite(
      written.map(({ to: account, from: user, arrivedAt: at }) => ({
        updateOne: {
          filter: { _id: `${account}:${user}` },
          update: { $setOnInsert: { account, user }, $max: { at } },
          upsert: true,
        },
      })),
      { ordered: false },
    )
  }

  async has(account: number, user: number): Promise<boolean> {
    return (await this.#chats.findOne({ _id: `${account}:${user}` }, { projection: { _id: 1 } })) !== null
  }

  /** Who wrote, the last one first. */
  async page(account: number, skip: number, limit: number): Promise<{ users: number[]; total: number }> {
    const [rows, total] = await Promise.all([
      this.#chats.find({ account }).sort({ at: -1, _id: -1 }).skip(skip).limit(limit).toArray(),
      this.#chats.countDocuments({ account }, { limit: mostCounted }),
    ])
    return { users: rows.map(({ user }) => user), total }
  }

  async removeAllOf(userId: number): Promise<void> {
    await this.#chats.deleteMany({ account: userId })
    await this.#chats.deleteMany({ user: userId })
  }
}
