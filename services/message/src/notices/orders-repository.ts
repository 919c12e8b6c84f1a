import { ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** A type 800 or 801 message to a user's own devices (spec xmpp.md §6.3). */
export interface OwnNotice {
  kind: 'own-notice'
  type: 800 | 801
  /** `sync_private_settings` …; 800 only. */
  objectId?: string
  /** Not sent when the user allows one device only. */
  onlyMultipleDevices: boolean
}

export interface CloseStreams {
  kind: 'close-streams'
  text: string
}

/** The XMPP server drops what it cached about the user. */
export interface ForgetUser {
  kind: 'forget-user'
}

/** Something the XMPP server is to do; kept until it took it, also over restarts. */
export interface Order {
  /** Event id and kind: the same event asks for it once. */
  _id: string
  userId: number
  order: OwnNotice | CloseStreams | ForgetUser
  /** ms */
  createdAt: number
  /** Not before; ms. */
  dueAt: number
  attempts: number
}

export class OrdersRepository {
  readonly collection: Collection<Order>

  constructor(db: Db) {
    this.collection = db.collection<Order>('orders')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { dueAt: 1, createdAt: 1 } }])
  }

  /** Asking again for the same changes nothing. */
  async ask(orders: readonly Omit<Order, 'attempts'>[]): Promise<void> {
    if (!orders.length) return
    await this.collection.bulkWrite(
      orders.map(({ _id, ...order }) => ({
        updateOne: { filter: { _id }, update: { $setOnInsert: { ...order, attempts: 0 } }, upsert: true },
      })),
    )
  }

  async due(now: number, limit: number): Promise<Order[]> {
    return await this.collection
      .find({ dueAt: { $lte: now } })
      .sort({ dueAt: 1, createdAt: 1 })
      .limit(limit)
      .toArray()
  }

  async done(ids: readonly string[]): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } })
  }

  async postpone(id: string, dueAt: number): Promise<void> {
    await this.collection.updateOne({ _id: id }, { $set: { dueAt }, $inc: { attempts: 1 } })
  }
}
