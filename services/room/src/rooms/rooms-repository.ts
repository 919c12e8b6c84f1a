import { type Change, ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter, UpdateFilter } from 'mongodb'
import type { RoomDocument } from './room-document.ts'

const objectId = /^[0-9a-f]{24}$/

/** What changes the numbers of a room. */
export type SizeChange = {
  userSize?: number
  hiddenSize?: number
  adminSize?: number
}

export class RoomsRepository {
  readonly #rooms: Collection<RoomDocument>

  constructor(db: Db) {
    this.#rooms = db.collection('rooms')
  }

  createIndexes = () =>
    ensureIndexes(this.#rooms, [
      { key: { jid: 1 }, unique: true },
      // Public rooms, newest first.
      { key: { isLook: 1, s: 1, createTime: -1, _id: -1 } },
    ])

  /** A room by its id, else by its jid; also one that was dissolved. */
  async find(ref: string): Promise<RoomDocument | undefined> {
    const byId = objectId.test(ref) ? await this.#rooms.findOne({ _id: ref }) : null
    return byId ?? (await this.byJid(ref.toLowerCase()))
  }

  async byJid(jid: string, change?: Change): Promise<RoomDocument | undefined> {
    return (await this.#rooms.findOne({ jid }, { session: change?.session })) ?? undefined
  }

  async byId(id: string, { session }: { session?: ClientSession } = {}): Promise<RoomDocument | undefined> {
    return (await this.#rooms.findOne({ _id: id }, { session })) ?? undefined
  }

  /** By jid, also those that were dissolved. */
  async byJids(jids: readonly string[], session: ClientSession): Promise<Map<string, RoomDocument>> {
    const found = await this.#rooms.find({ jid: { $in: [...jids] } }, { session }).toArray()
    return new Map(found.map((room) => [room.jid, room]))
  }

  async byIds(ids: readonly string[]): Promise<Map<string, RoomDocument>> {
    const found = await this.#rooms.find({ _id: { $in: [...ids] } }).toArray()
    return new Map(found.map((room) => [room._id, room]))
  }

  /** Rooms with greater ids, in the order of their ids, also those that were dissolved. */
  pageAfter(id: string, limit: number, session: ClientSession): Promise<RoomDocument[]> {
    return this.#rooms
      .find({ _id: { $gt: id } }, { session })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray()
  }

  /** Public rooms, newest first, those with `part` in the name or description. */
  listPublic(part: string | undefined, skip: number, limit: number): Promise<RoomDocument[]> {
    const contains = part && { $regex: escapeRegex(part), $options: 'i' }
    const filter: Filter<RoomDocument> = { isLook: 0, s: 1, dissolvedAt: { $exists: false } }
    if (contains) filter.$or = [{ name: contains }, { desc: contains }]
    return this.#rooms.find(filter).sort({ createTime: -1, _id: -1 }).skip(skip).limit(limit).toArray()
  }

  async add(room: RoomDocument, { session }: Change): Promise<void> {
    await this.#rooms.insertOne(room, { session })
  }

  /** Sets fields and returns the room as it is then. */
  async change(
    id: string,
    { set = {}, unset = [], sizes = {} }: RoomChange,
    { session }: Change,
  ): Promise<RoomDocument | undefined> {
    const update: UpdateFilter<RoomDocument> = {}
    if (Object.keys(set).length) update.$set = set
    if (unset.length) update.$unset = Object.fromEntries(unset.map((name) => [name, '']))
    if (Object.keys(sizes).length) update.$inc = { ...sizes }
    return (await this.#rooms.findOneAndUpdate({ _id: id }, update, { session, returnDocument: 'after' })) ?? undefined
  }
}

export interface RoomChange {
  set?: Partial<RoomDocument>
  unset?: readonly 'notice'[]
  sizes?: SizeChange
}

export const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
