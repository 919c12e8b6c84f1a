import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** A conversation the index holds messages of. */
export interface SearchedChat {
  /** The conversation. */
  _id: string
  /** Both sides of a single chat; none for rooms. */
  users: number[]
  /** At least one of its texts is too long to be found by pairs of characters. */
  hasLong: boolean
}

/** The two users of a single chat's key `u:<low>:<high>`; none for a room. */
export const usersOf = (conversation: string): number[] =>
  conversation.startsWith('u:') ? conversation.slice(2).split(':').map(Number) : []

export class SearchedChats {
  readonly collection: Collection<SearchedChat>

  constructor(db: Db) {
    this.collection = db.collection<SearchedChat>('searchChats')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { users: 1 } }])
  }

  async note(chats: readonly { conversation: string; hasLong: boolean }[]): Promise<void> {
    if (!chats.length) return
    await this.collection.bulkWrite(
      chats.map(({ conversation, hasLong }) => ({
        updateOne: {
          filter: { _id: conversation },
          update: {
            $setOnInsert: { users: usersOf(conversation), ...(hasLong ? {} : { hasLong: false }) },
            ...(hasLong ? { $set: { hasLong: true } } : {}),
          },
          upsert: true,
        },
      })),
      { ordered: false },
    )
  }

  ofUser(userId: number): Promise<SearchedChat[]> {
    return this.collection.find({ users: userId }).toArray()
  }

  among(conversations: readonly string[]): Promise<SearchedChat[]> {
    return conversations.length
      ? this.collection.find({ _id: { $in: [...conversations] } }).toArray()
      : Promise.resolve([])
  }
}
