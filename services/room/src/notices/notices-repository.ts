import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { NoticeDocument } from '../documents/room-document.ts'

/** Notices that are listed; older ones are not. */
const mostListed = 1000

export class NoticesRepository {
  readonly #notices: Collection<NoticeDocument>

  constructor(db: Db) {
    this.#notices = db.collection('notices')
  }

  createIndexes = () => ensureIndexes(this.#notices, [{ key: { roomId: 1, time: -1, _id: -1 } }])

  /** Newest first. */
  list(roomId: string, limit = mostListed, change?: Change): Promise<NoticeDocument[]> {
    return this.#notices
      .find({ roomId }, { session: change?.session })
      .sort({ time: -1, _id: -1 })
      .limit(limit)
      .toArray()
  }

  async add(notice: NoticeDocument, { session }: Change): Promise<void> {
    await this.#notices.insertOne(notice, { session })
  }

  /** Undefined when the room has no such notice. */
  async edit(
    roomId: string,
    noticeId: string,
    fields: Pick<NoticeDocument, 'text' | 'modifyTime'>,
    { session }: Change,
  ): Promise<NoticeDocument | undefined> {
    const options = { session, returnDocument: 'after' as const }
    return (await this.#notices.findOneAndUpdate({ _id: noticeId, roomId }, { $set: fields }, options)) ?? undefined
  }

  /** False when the room has no such notice. */
  async remove(roomId: string, noticeId: string, { session }: Change): Promise<boolean> {
    return (await this.#notices.deleteOne({ _id: noticeId, roomId }, { session })).deletedCount > 0
  }

  async removeAll(roomId: string, { session }: Change): Promise<void> {
    await this.#notices.deleteMany({ roomId }, { session })
  }
}
