import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** A file that a member shares in a room. */
export interface ShareDocument {
  _id: string
  roomId: string
  name: string
  url: string
  /** Its name in the address, where it is one of ours: 32 hex digits. */
  file?: string
  userId: number
  nickname: string
  /** Bytes. */
  size: number
  /** Seconds. */
  time: number
  type: number
}

export class SharesRepository {
  readonly #shares: Collection<ShareDocument>

  constructor(db: Db) {
    this.#shares = db.collection('shares')
  }

  createIndexes = () =>
    ensureIndexes(this.#shares, [
      { key: { roomId: 1, time: -1, _id: -1 } },
      { key: { roomId: 1, userId: 1, time: -1, _id: -1 } },
      { key: { file: 1 }, sparse: true },
    ])

  async find(roomId: string, shareId: string, change?: Change): Promise<ShareDocument | undefined> {
    return (await this.#shares.findOne({ _id: shareId, roomId }, { session: change?.session })) ?? undefined
  }

  /** Newest first; those of one user, those up to a time (seconds). */
  list(
    roomId: string,
    { userId, until }: { userId?: number | undefined; until?: number | undefined },
    skip: number,
    limit: number,
  ): Promise<ShareDocument[]> {
    const ofUser = userId === undefined ? {} : { userId }
    const upTo = until === undefined ? {} : { time: { $lte: until } }
    return this.#shares
      .find({ roomId, ...ofUser, ...upTo })
      .sort({ time: -1, _id: -1 })
      .skip(skip)
      .limit(limit)
      .toArray()
  }

  /** How many files a room shares, counted up to a limit. */
  count(roomId: string, limit: number, { session }: Change): Promise<number> {
    return this.#shares.countDocuments({ roomId }, { limit, session })
  }

  async filesOf(roomId: string, { session }: Change): Promise<Pick<ShareDocument, 'url' | 'userId'>[]> {
    return await this.#shares
      .find({ roomId }, { session })
      .project<Pick<ShareDocument, 'url' | 'userId'>>({ _id: 0, url: 1, userId: 1 })
      .toArray()
  }

  /** Those of the files that some room shares. */
  async sharedOf(names: readonly string[]): Promise<string[]> {
    if (!names.length) return []
    const found = await this.#shares
      .find({ file: { $in: [...names] } })
      .project<{ file: string }>({ _id: 0, file: 1 })
      .toArray()
    return [...new Set(found.map(({ file }) => file))]
  }

  async add(share: ShareDocument, { session }: Change): Promise<void> {
    await this.#shares.insertOne(share, { session })
  }

  async remove({ _id }: ShareDocument, { session }: Change): Promise<void> {
    await this.#shares.deleteOne({ _id }, { session })
  }

  async removeAll(roomId: string, { session }: Change): Promise<void> {
    await this.#shares.deleteMany({ roomId }, { session })
  }
}
