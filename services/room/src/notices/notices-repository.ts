import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { NoticeDocument } from '../documents/room-document.ts'

/** Notices that a room keeps: it is dissolved in one change with them. */
const mostKept = 1000

export class NoticesRepository {
  readonly #notices: Collection<NoticeDocument>

  constructor(db: Db) {
    this.#notices = db.collection('notices')
  }

  createIndexes = () => ensureIndexes(this.#notices, [{ key: { roomId: 1, time: -1, _id: -1 } }])

  /** Newest first. */
  list(roomId: string, limit = mostKept, change?: Change): Promise<NoticeDocument[]> {
    return this.#notices
      .find({ roomId }, { session: change?.session })
      .sort({ time: -1, _id: -1 })
      .limit(limit)
      .toArray()
  }

  async add(notice: NoticeDocument, { session }: Change): Promise<void> {
    await this.#notices.insertOne(notice, { session })
  }

  /** Removes those for which newer ones have come. */
  async removeOldest(roomId: string, { session }: Change): Promise<void> {
    const old = await this.#notices
      .find({ roomId }, { session })
      .sort({ time: -1, _id: -1 })
      .skip(mostKept)
      .limit(mostKept)
      .project<{ _id: string }>({ _id: 1 })
      .toArray()
    if (old.length) await this.#notices.deleteMany({ _id: { $in: old.map(({ _id }) => _id) } }, { session })
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
