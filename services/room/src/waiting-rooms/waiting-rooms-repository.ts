import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

/** Users who typed the same digits at the same place. */
export interface WaitingRoom {
  /** Of the room that it becomes. */
  jid: string
  name: string
  latitude: number
  longitude: number
  members: WaitingMember[]
  /** Milliseconds. */
  changedAt: number
}

export interface WaitingMember {
  userId: number
  nickname: string
  /** Seconds. */
  createTime: number
}

/** All waiting rooms of some digits, so that two who come at the same moment find the same one. */
interface DigitsDocument {
  _id: string
  rooms: WaitingRoom[]
  expireAt: Date
}

/** A waiting room lives so long after the last change (ms). */
const lifetime = 600_000

export class WaitingRoomsRepository {
  readonly #digits: Collection<DigitsDocument>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.#digits = db.collection('waiting_rooms')
    this.#now = now
  }

  createIndexes = () =>
    ensureIndexes(this.#digits, [{ key: { 'rooms.jid': 1 } }, { key: { expireAt: 1 }, expireAfterSeconds: 0 }])

  /** Makes sure that the digits have a row: two transactions that made it would fail each other. */
  async open(digits: string): Promise<void> {
    const first = { rooms: [], expireAt: this.#expiry() }
    await this.#digits.updateOne({ _id: digits }, { $setOnInsert: first }, { upsert: true })
  }

  async of(digits: string, { session }: Change): Promise<WaitingRoom[]> {
    const found = await this.#digits.findOne({ _id: digits }, { session })
    return (found?.rooms ?? []).filter(({ changedAt }) => changedAt > this.#now() - lifetime)
  }

  async find(jid: string): Promise<{ digits: string; room: WaitingRoom } | undefined> {
    const found = await this.#digits.findOne({ 'rooms.jid': jid })
    const room = found?.rooms.find((each) => each.jid === jid)
    return found && room && room.changedAt > this.#now() - lifetime ? { digits: found._id, room } : undefined
  }

  /** Replaces the waiting rooms of some digits. Empty ones are dropped. */
  async put(digits: string, rooms: readonly WaitingRoom[], { session }: Change): Promise<void> {
    const set = { rooms: rooms.filter(({ members }) => members.length > 0), expireAt: this.#expiry() }
    await this.#digits.updateOne({ _id: digits }, { $set: set }, { session, upsert: true })
  }

  #expiry = () => new Date(this.#now() + lifetime)
}
