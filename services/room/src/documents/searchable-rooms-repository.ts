import { type Change, ensureIndexes, escapeRegex, findNewest, foldText, gramsOf, gramToFind } from '@im/service-kit'
import type { Collection, Db, Filter } from 'mongodb'
import type { RoomDocument } from './room-document.ts'

/** A room as searches find it. */
interface SearchableRoom {
  _id: string
  /** Seconds. */
  createTime: number
  /** The folded name and the beginning of the folded description, and their pieces. */
  name: string
  nameGrams: string[]
  desc: string
  descGrams: string[]
}

/** A description is found by what stands in its first characters. */
const longestDesc = 200
/** Lengths of the pieces of descriptions. */
const descLengths = [1, 2, 3]

/** Public rooms by their words. Private, locked and dissolved ones are absent. */
export class SearchableRoomsRepository {
  readonly #rooms: Collection<SearchableRoom>

  constructor(db: Db) {
    this.#rooms = db.collection('searchable_rooms')
  }

  createIndexes = () =>
    ensureIndexes(this.#rooms, [
      { key: { nameGrams: 1, createTime: -1, _id: -1 } },
      { key: { descGrams: 1, createTime: -1, _id: -1 } },
    ])

  /** A room is this now. */
  async follow(room: RoomDocument, { session }: Change): Promise<void> {
    const { _id, ...words } = searchable(room)
    if (isPublic(room)) await this.#rooms.replaceOne({ _id }, words, { upsert: true, session })
    else await this.#rooms.deleteOne({ _id }, { session })
  }

  /** Stores rooms from before rooms could be searched. Whoever changes one meanwhile is right. */
  async add(rooms: readonly RoomDocument[]): Promise<void> {
    const rows = rooms.filter(isPublic).map(searchable)
    if (!rows.length) return
    await this.#rooms.bulkWrite(
      rows.map(({ _id, ...words }) => ({
        updateOne: { filter: { _id }, update: { $setOnInsert: words }, upsert: true },
      })),
      { ordered: false },
    )
  }

  /** Ids of rooms with `part` in the name or description, the newest first. `now` in seconds. */
  async find(part: string, limit: number, now: number): Promise<string[]> {
    const folded = foldText(part)
    if (!folded) return []
    const contains = { $regex: escapeRegex(folded) }
    const found = await Promise.all([
      this.#newest({ nameGrams: gramToFind(folded), name: contains }, limit, now),
      this.#newest({ descGrams: gramToFind(folded, descLengths), desc: contains }, limit, now),
    ])
    const inOrder = found.flat().sort((a, b) => b.createTime - a.createTime || (a._id < b._id ? 1 : -1))
    return [...new Set(inOrder.map(({ _id }) => _id))].slice(0, limit)
  }

  #newest(equal: Filter<SearchableRoom>, limit: number, now: number) {
    const query = { equal, field: 'createTime', sort: { createTime: -1, _id: -1 }, limit } as const
    return findNewest(this.#rooms, { ...query, projection: { createTime: 1 } }, now)
  }
}

const isPublic = ({ isLook, s, dissolvedAt }: RoomDocument) => isLook === 0 && s === 1 && dissolvedAt === undefined

function searchable({ _id, createTime, ...room }: RoomDocument): SearchableRoom {
  const name = foldText(room.name)
  const desc = [...foldText(room.desc)].slice(0, longestDesc).join('')
  return { _id, createTime, name, nameGrams: gramsOf(name), desc, descGrams: gramsOf(desc, descLengths) }
}
