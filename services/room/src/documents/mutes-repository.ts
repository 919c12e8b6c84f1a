import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import { type MemberDocument, memberId } from './member-document.ts'

/** The mute of somebody who went before it ended. */
interface MuteDocument {
  /** `<roomId>:<userId>` */
  _id: string
  roomId: string
  userId: number
  /** Muted until then (seconds). */
  talkTime: number
  expireAt: Date
}

/** The latest moment that a date can tell (ms). */
const endOfTime = 8.64e15

/** Mutes of those who are no members now: who leaves and comes back is muted as before. */
export class MutesRepository {
  readonly #mutes: Collection<MuteDocument>

  constructor(db: Db) {
    this.#mutes = db.collection('mutes')
  }

  createIndexes = () =>
    ensureIndexes(this.#mutes, [
      { key: { roomId: 1 } },
      { key: { userId: 1 } },
      { key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ])

  async keep({ _id, roomId, userId, talkTime }: MemberDocument, { session }: Change): Promise<void> {
    const expireAt = new Date(Math.min(talkTime * 1000, endOfTime))
    await this.#mutes.replaceOne({ _id }, { roomId, userId, talkTime, expireAt }, { session, upsert: true })
  }

  /** Until when (seconds) users are muted who come back; it is kept no longer. */
  async take(roomId: string, userIds: readonly number[], { session }: Change): Promise<Map<number, number>> {
    if (!userIds.length) return new Map()
    const ids = userIds.map((userId) => memberId(roomId, userId))
    const found = await this.#mutes.find({ _id: { $in: ids } }, { session, batchSize: ids.length + 1 }).toArray()
    if (found.length) await this.#mutes.deleteMany({ _id: { $in: found.map(({ _id }) => _id) } }, { session })
    return new Map(found.map(({ userId, talkTime }) => [userId, talkTime]))
  }

  /** A deleted user comes back nowhere. */
  async removeOf(userId: number, { session }: Change): Promise<void> {
    await this.#mutes.deleteMany({ userId }, { session })
  }

  async removeAll(roomId: string, { session }: Change): Promise<void> {
    await this.#mutes.deleteMany({ roomId }, { session })
  }
}
