import { type Change, CopiedRows, ensureIndexes } from '@im/service-kit'
import type { Db } from 'mongodb'

export interface RoomCopy {
  /** roomId */
  _id: string
  jid: string
  name: string
}

export interface MemberCopy {
  /** `<roomId>:<userId>` */
  _id: string
  roomId: string
  userId: number
  /** Given in this room; '' when they are called what they are called everywhere. */
  name: string
  /** They want no notifications about what is said in this room. */
  isMuted: boolean
  /** When they joined (ms); absent: before that was kept. What came before is not for them. */
  joinedAt?: number
}

const memberId = (roomId: string, userId: number) => `${roomId}:${userId}`

/** What notifications need of rooms and their members. */
export class RoomsRepository {
  readonly #rooms: CopiedRows<RoomCopy>
  readonly #members: CopiedRows<MemberCopy>

  constructor(db: Db) {
    this.#rooms = new CopiedRows(db, 'rooms')
    this.#members = new CopiedRows(db, 'members')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#rooms.collection, [{ key: { jid: 1 } }])
    await ensureIndexes(this.#members.collection, [{ key: { roomId: 1 } }, { key: { userId: 1 } }])
  }

  async byJids(jids: readonly string[]): Promise<Map<string, RoomCopy>> {
    if (!jids.length) return new Map()
    const found = await this.#rooms.collection.find({ jid: { $in: [...jids] } }).toArray()
    return new Map(found.map((room) => [room.jid, room]))
  }

  /** The members of rooms, by the room. */
  async membersOf(roomIds: readonly string[]): Promise<Map<string, MemberCopy[]>> {
    if (!roomIds.length) return new Map()
    const found = await this.#members.collection
      .find({ roomId: { $in: [...roomIds] } }, { batchSize: 10_000 })
      .toArray()
    return Map.groupBy(found, ({ roomId }) => roomId)
  }

  /** Those of them that are there, by the room. */
  async findInRooms(wanted: readonly { roomId: string; userId: number }[]): Promise<Map<string, MemberCopy[]>> {
    const found = await this.#members.find([...new Set(wanted.map(({ roomId, userId }) => memberId(roomId, userId)))])
    return Map.groupBy(found.values(), ({ roomId }) => roomId)
  }

  /** Stores rooms as they are, with all their members. */
  async putWhole(rooms: readonly RoomCopy[], members: readonly Omit<MemberCopy, '_id'>[], change: Change) {
    await this.#rooms.replace(rooms, change)
    const { session } = change
    await this.#members.collection.deleteMany({ roomId: { $in: rooms.map(({ _id }) => _id) } }, { session })
    if (members.length) await this.#members.collection.insertMany(members.map(withId), { session })
  }

  async put(room: RoomCopy, change: Change): Promise<void> {
    await this.#rooms.replace([room], change)
  }

  async remove(roomIds: readonly string[], change: Change): Promise<void> {
    if (!roomIds.length) return
    await this.#rooms.remove(roomIds, change)
    await this.#members.collection.deleteMany({ roomId: { $in: [...roomIds] } }, { session: change.session })
  }

  async addMembers(members: readonly Omit<MemberCopy, '_id'>[], change: Change): Promise<void> {
    await this.#members.replace(members.map(withId), change)
  }

  async changeMember(
    roomId: string,
    userId: number,
    fields: Partial<Pick<MemberCopy, 'name' | 'isMuted'>>,
    { session }: Change,
  ): Promise<void> {
    await this.#members.collection.updateOne({ _id: memberId(roomId, userId) }, { $set: fields }, { session })
  }

  async removeMember(roomId: string, userId: number, change: Change): Promise<void> {
    await this.#members.remove([memberId(roomId, userId)], change)
  }

  async removeUser(userId: number, { session }: Change): Promise<void> {
    await this.#members.collection.deleteMany({ userId }, { session })
  }
}

const withId = (member: Omit<MemberCopy, '_id'>): MemberCopy => ({
  _id: memberId(member.roomId, member.userId),
  ...member,
})
