import { type Change, ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter, UpdateFilter } from 'mongodb'
import type { RoomDocument } from './room-document.ts'
import { SearchableRoomsRepository } from './searchable-rooms-repository.ts'

const objectId = /^[0-9a-f]{24}$/

/** What changes the numbers of a room. */
export type SizeChange = {
  userSize?: number
  hiddenSize?: number
  adminSize?: number
}

/** Nobody reads further than this in a list of rooms. */
const longestList = 10_000
/** Rooms that a search finds. */
const mostFound = 1000
/** What of a room decides who finds it, and by what. */
const searched: readonly (keyof RoomDocument)[] = ['name', 'desc', 'isLook', 's', 'dissolvedAt']
const rowsAtOnce = 500

export class RoomsRepository {
  readonly #rooms: Collection<RoomDocument>
  readonly #marks: Collection<{ _id: string; value: number }>
  readonly #searchable: SearchableRoomsRepository

  constructor(db: Db) {
    this.#rooms = db.collection('rooms')
    this.#marks = db.collection('counters')
    this.#searchable = new SearchableRoomsRepository(db)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#rooms, [
      { key: { jid: 1 }, unique: true },
      // Public rooms, newest first.
      { key: { isLook: 1, s: 1, createTime: -1, _id: -1 } },
    ])
    await this.#searchable.createIndexes()
  }

  /** Makes rooms from before rooms could be searched searchable. Once is enough. */
  async makeAllSearchable(): Promise<void> {
    const mark = { _id: 'searchable-rooms', value: 1 }
    if (await this.#marks.findOne({ _id: mark._id })) return
    for (let after = ''; ; ) {
      const rooms = await this.#rooms
        .find({ _id: { $gt: after } })
        .sort({ _id: 1 })
        .limit(rowsAtOnce)
        .toArray()
      await this.#searchable.add(rooms)
      if (rooms.length < rowsAtOnce) break
      after = rooms.at(-1)!._id
    }
    await this.#marks.updateOne({ _id: mark._id }, { $set: { value: mark.value } }, { upsert: true })
  }

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
    const found = await this.#rooms.find({ jid: { $in: [...jids] } }, { session, batchSize: jids.length + 1 }).toArray()
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

  /** Public rooms, newest first. */
  async listPublic(skip: number, limit: number): Promise<RoomDocument[]> {
    if (skip >= longestList) return []
    const filter: Filter<RoomDocument> = { isLook: 0, s: 1, dissolvedAt: { $exists: false } }
    return await this.#rooms.find(filter).sort({ createTime: -1, _id: -1 }).skip(skip).limit(limit).toArray()
  }

  /** The same for those with `part` in the name or description, of which 1,000 are found. `now` in seconds. */
  async searchPublic(part: string, skip: number, limit: number, now: number): Promise<RoomDocument[]> {
    if (skip >= mostFound) return []
    const ids = await this.#searchable.find(part, Math.min(skip + limit, mostFound), now)
    const page = ids.slice(skip)
    const rooms = page.length ? await this.byIds(page) : new Map<string, RoomDocument>()
    return page.flatMap((id) => rooms.get(id) ?? [])
  }

  async add(room: RoomDocument, change: Change): Promise<void> {
    await this.#rooms.insertOne(room, { session: change.session })
    await this.#searchable.follow(room, change)
  }

  /** Sets fields and returns the room as it is then. */
  async change(
    id: string,
    { set = {}, unset = [], sizes = {} }: RoomChange,
    change: Change,
  ): Promise<RoomDocument | undefined> {
    const update: UpdateFilter<RoomDocument> = {}
    if (Object.keys(set).length) update.$set = set
    if (unset.length) update.$unset = Object.fromEntries(unset.map((name) => [name, '']))
    if (Object.keys(sizes).length) update.$inc = { ...sizes }
    const options = { session: change.session, returnDocument: 'after' as const }
    const room = (await this.#rooms.findOneAndUpdate({ _id: id }, update, options)) ?? undefined
    if (room && searched.some((name) => name in set)) await this.#searchable.follow(room, change)
    return room
  }
}

export interface RoomChange {
  set?: Partial<RoomDocument>
  unset?: readonly 'notice'[]
  sizes?: SizeChange
}
