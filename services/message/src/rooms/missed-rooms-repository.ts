import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** Something was said in a room while nobody could reach a server: streams there have missed it. */
interface MissedRoom {
  /** `<server> <jid>` */
  _id: string
  /** Address of the server. */
  server: string
  jid: string
  at: Date
}

/** How long a server may be out of reach; streams that lived on meanwhile have been closed by its own timeouts. */
const keptSeconds = 7 * 86_400

export class MissedRoomsRepository {
  readonly collection: Collection<MissedRoom>

  constructor(db: Db) {
    this.collection = db.collection('missed_rooms')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { server: 1 } }, { key: { at: 1 }, expireAfterSeconds: keptSeconds }])
  }

  async add(server: string, jid: string): Promise<void> {
    const _id = `${server} ${jid}`
    await this.collection.updateOne({ _id }, { $set: { server, jid, at: new Date() } }, { upsert: true })
  }

  async of(servers: readonly string[]): Promise<MissedRoom[]> {
    if (!servers.length) return []
    return await this.collection
      .find({ server: { $in: [...servers] } })
      .limit(10_000)
      .toArray()
  }

  /** Unless something was missed again. */
  async remove(missed: readonly MissedRoom[]): Promise<void> {
    for (const { _id, at } of missed) await this.collection.deleteOne({ _id, at })
  }
}
