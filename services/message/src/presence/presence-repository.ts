import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'

export interface PresenceDocument {
  /** userId */
  _id: number
  /** What was told last, by the XMPP server or by `/tigase/OnlineState`. */
  online: boolean
  /** Available XMPP resources. */
  resources: string[]
  /** ms */
  changedAt: number
}

export class PresencesRepository {
  readonly collection: Collection<PresenceDocument>

  constructor(db: Db) {
    this.collection = db.collection<PresenceDocument>('presence')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { online: 1 } }])
  }

  async of(userIds: readonly number[], session?: ClientSession): Promise<Map<number, PresenceDocument>> {
    const found = await this.collection.find({ _id: { $in: [...userIds] } }, { session }).toArray()
    return new Map(found.map((presence) => [presence._id, presence]))
  }

  async onlineUsers(): Promise<number[]> {
    const found = await this.collection.find({ online: true }).project<{ _id: number }>({ _id: 1 }).toArray()
    return found.map(({ _id }) => _id)
  }

  async save(presences: readonly PresenceDocument[], session: ClientSession): Promise<void> {
    if (!presences.length) return
    await this.collection.bulkWrite(
      presences.map(({ _id, ...fields }) => ({
        updateOne: { filter: { _id }, update: { $set: fields }, upsert: true },
      })),
      { session, ordered: false },
    )
  }
}
