import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db, ObjectId } from 'mongodb'
import type { Place } from '../messages/message-document.ts'

/** What a room shows in lists of chats: once for all members; who reads it looks whether they may see it. */
export interface RoomChat {
  /** The conversation. */
  _id: string
  /** The newest message of a listed type, and its place. */
  shown: ObjectId
  timeSend: number
  ts: number
}

export class RoomChatsRepository {
  readonly collection: Collection<RoomChat>

  constructor(db: Db) {
    this.collection = db.collection('room_chats')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [])
  }

  async byIds(conversations: readonly string[]): Promise<RoomChat[]> {
    if (!conversations.length) return []
    return await this.collection.find({ _id: { $in: [...conversations] } }, { batchSize: 1000 }).toArray()
  }

  /**
   * Shows messages where they are newer than what is shown: those of one moment stand in the order of their ids. Any replica may do so
   * at any time: the newest one stays.
   */
  async show(places: ReadonlyMap<string, Place>): Promise<void> {
    if (!places.size) return
    const shown = [...places].map(([conversation, { _id, timeSend, ts }]) => ({
      ...{ filter: { _id: conversation }, set: { shown: _id, timeSend, ts } },
    }))
    await this.collection.bulkWrite(
      shown.map(({ filter, set }) => ({ updateOne: { filter, update: { $setOnInsert: set }, upsert: true } })),
      { ordered: false },
    )
    await this.collection.bulkWrite(
      shown.map(({ filter, set: { timeSend, ts, ...set } }) => ({
        updateOne: {
          filter: {
            ...filter,
            $or: [
              { timeSend: { $lt: timeSend } },
              { timeSend, ts: { $lt: ts } },
              { timeSend, ts, shown: { $lt: set.shown } },
            ],
          },
          update: { $set: { ...set, timeSend, ts } },
        },
      })),
      { ordered: false },
    )
  }

  /** Shows an older message, or nothing, where `lost` is still what is shown. */
  async replace(conversation: string, lost: ObjectId, place: Place | undefined): Promise<void> {
    const filter = { _id: conversation, shown: lost }
    if (!place) await this.collection.deleteOne(filter)
    else {
      const { _id, timeSend, ts } = place
      await this.collection.updateOne(filter, { $set: { shown: _id, timeSend, ts } })
    }
  }

  async remove(conversation: string): Promise<void> {
    await this.collection.deleteOne({ _id: conversation })
  }
}
