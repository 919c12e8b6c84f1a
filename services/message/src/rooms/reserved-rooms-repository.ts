import { ensureIndexes, isDuplicateKey } from '@im/service-kit'
import type { Collection, Db, Filter } from 'mongodb'
import PQueue from 'p-queue'

/** A room that somebody made by joining it, until the room service makes a room of it (spec xmpp.md §7). */
export interface ReservedRoom {
  /** The jid. */
  _id: string
  user: number
  name: string
  /** When it is destroyed unless it was claimed. */
  expireAt: Date
  /** The room service makes a room of it. */
  claimed?: true
}

export type Reservation = 'made' | 'known' | 'taken' | 'too many'

/** How long (ms) a room waits for `/room/add`. */
const reservedFor = 600_000
/** A client that makes rooms without end fills nothing. */
const mostOfUser = 200

export class ReservedRoomsRepository {
  readonly collection: Collection<ReservedRoom>
  readonly #now: () => number
  /** Rooms of one user are counted and made one after the other. */
  readonly #turns = new Map<number, PQueue>()

  constructor(db: Db, now: () => number) {
    this.collection = db.collection('reserved_rooms')
    this.#now = now
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { expireAt: 1 } }, { key: { user: 1 } }])
  }

  async get(jid: string): Promise<ReservedRoom | undefined> {
    return (await this.collection.findOne({ _id: jid })) ?? undefined
  }

  /** `taken`: it is another user's; `known`: this user made it before. */
  async reserve(jid: string, user: number): Promise<Reservation> {
    const turns = this.#turns.get(user) ?? new PQueue({ concurrency: 1 })
    this.#turns.set(user, turns)
    try {
      return await turns.add(() => this.#reserve(jid, user))
    } finally {
      if (!turns.size && !turns.pending) this.#turns.delete(user)
    }
  }

  async #reserve(jid: string, user: number): Promise<Reservation> {
    const expireAt = new Date(this.#now() + reservedFor)
    const hasMost = (await this.#countOf(user)) >= mostOfUser
    const room = hasMost ? await this.get(jid) : await this.#insert({ _id: jid, user, name: '', expireAt })
    if (!room) return 'too many'
    if (room !== 'made') return room.user === user ? 'known' : 'taken'
    // Another replica may have made some meanwhile.
    if ((await this.#countOf(user, { expireAt: { $lte: expireAt }, _id: { $ne: jid } })) < mostOfUser) return 'made'
    await this.collection.deleteOne({ _id: jid, user, claimed: { $exists: false } })
    return 'too many'
  }

  #countOf(user: number, of: Filter<ReservedRoom> = {}): Promise<number> {
    return this.collection.countDocuments({ user, ...of }, { limit: mostOfUser })
  }

  /** False when it is another user's. From then on joining can't reserve it for anybody else. */
  async claim(jid: string, user: number): Promise<boolean> {
    const expireAt = new Date(this.#now() + reservedFor)
    const room = await this.#insert({ _id: jid, user, name: '', expireAt, claimed: true })
    if (room === 'made') return true
    if (room.user !== user) return false
    await this.collection.updateOne({ _id: jid, user }, { $set: { claimed: true, expireAt } })
    return true
  }

  async setName(jid: string, user: number, name: string): Promise<void> {
    await this.collection.updateOne({ _id: jid, user }, { $set: { name } })
  }

  async expired(limit: number): Promise<ReservedRoom[]> {
    return await this.collection
      .find({ expireAt: { $lte: new Date(this.#now()) } })
      .sort({ expireAt: 1 })
      .limit(limit)
      .toArray()
  }

  async remove({ _id, expireAt }: Pick<ReservedRoom, '_id' | 'expireAt'>): Promise<void> {
    await this.collection.deleteOne({ _id, expireAt })
  }

  async #insert(room: ReservedRoom): Promise<'made' | ReservedRoom> {
    for (;;) {
      try {
        await this.collection.insertOne(room)
        return 'made'
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
        const known = await this.get(room._id)
        if (known) return known
      }
    }
  }
}
