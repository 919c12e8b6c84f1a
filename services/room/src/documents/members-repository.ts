import type { MemberRole } from '@im/contracts/room'
import { type Change, ensureIndexes, escapeRegex, indexedAnd } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter, Sort } from 'mongodb'
import { type MemberDocument, memberId } from './member-document.ts'
import type { View } from './visibility.ts'

/** Owner, admins, others; among them by the time they joined. */
const inOrder: Sort = { rank: 1, createTime: 1, userId: 1 }
const insertedAtOnce = 5000

export class MembersRepository {
  readonly #members: Collection<MemberDocument>

  constructor(db: Db) {
    this.#members = db.collection('members')
  }

  createIndexes = () =>
    ensureIndexes(this.#members, [
      { key: { roomId: 1, rank: 1, createTime: 1, userId: 1 } },
      { key: { roomId: 1, userId: 1 } },
      // Rooms of a user, newest first.
      { key: { userId: 1, roomCreateTime: -1, roomId: -1 } },
    ])

  async find(roomId: string, userId: number, change?: Pick<Change, 'session'>): Promise<MemberDocument | undefined> {
    const filter = { _id: memberId(roomId, userId) }
    return (await this.#members.findOne(filter, { session: change?.session })) ?? undefined
  }

  /** Those of the users who are members. */
  findAll(roomId: string, userIds: readonly number[], session?: ClientSession): Promise<MemberDocument[]> {
    return this.findPairs(
      userIds.map((userId) => ({ roomId, userId })),
      session,
    )
  }

  /** Records of users in rooms, as far as they are members. */
  findPairs(
    pairs: readonly Pick<MemberDocument, 'roomId' | 'userId'>[],
    session?: ClientSession,
  ): Promise<MemberDocument[]> {
    const ids = pairs.map(({ roomId, userId }) => memberId(roomId, userId))
    // In an order of its own the stand-in of MongoDB plans nothing.
    return this.#members
      .find({ _id: { $in: ids } }, { session, batchSize: ids.length + 1 })
      .sort({ _id: 1 })
      .toArray()
  }

  /** Own records of a user in several rooms. */
  async ofUser(userId: number, roomIds: readonly string[]): Promise<Map<string, MemberDocument>> {
    const found = await this.findPairs(roomIds.map((roomId) => ({ roomId, userId })))
    return new Map(found.map((member) => [member.roomId, member]))
  }

  /** Own records of a user, the newest room first. */
  pageOfUser(userId: number, roles: readonly MemberRole[], skip: number, limit: number): Promise<MemberDocument[]> {
    return this.#members
      .find({ userId, role: { $in: [...roles] } })
      .sort({ roomCreateTime: -1, roomId: -1 })
      .skip(skip)
      .limit(limit)
      .toArray()
  }

  /** All own records of a user. */
  everywhere(userId: number): Promise<MemberDocument[]> {
    return this.#members.find({ userId }).toArray()
  }

  /** Members with greater ids, in the order of their ids. */
  pageById(roomId: string, after: number, limit: number): Promise<MemberDocument[]> {
    return this.#members
      .find({ roomId, userId: { $gt: after } })
      .sort({ userId: 1 })
      .limit(limit)
      .toArray()
  }

  /** All whom the viewer sees, or those with `part` in the nickname, or in the remark where the viewer sees that. */
  list(roomId: string, view: View, part?: string): Promise<MemberDocument[]> {
    const contains = part && { $regex: escapeRegex(part), $options: 'i' }
    const remarked = contains && view.seesRemarks ? [{ remarkName: contains }] : []
    const named = contains ? { $and: [{ $or: [{ nickname: contains }, ...remarked] }] } : {}
    return this.#members
      .find(indexedAnd({ roomId }, { ...seenBy(view), ...named }))
      .sort(inOrder)
      .toArray()
  }

  page(roomId: string, view: View, skip: number, limit: number): Promise<MemberDocument[]> {
    return this.#members
      .find(indexedAnd({ roomId }, seenBy(view)))
      .sort(inOrder)
      .skip(skip)
      .limit(limit)
      .toArray()
  }

  /** Ordinary members who joined within a range (seconds). */
  joined(
    roomId: string,
    view: View,
    range: { $gte?: number; $gt?: number; $lte?: number },
    limit = 0,
  ): Promise<MemberDocument[]> {
    return this.#members
      .find(indexedAnd({ roomId, rank: 3, createTime: range }, seenBy(view)))
      .sort(inOrder)
      .limit(limit)
      .toArray()
  }

  async userIds(roomId: string, { session }: Pick<Change, 'session'>): Promise<number[]> {
    const found = await this.#members.find({ roomId }, { session }).project<{ userId: number }>({ userId: 1 }).toArray()
    return found.map(({ userId }) => userId)
  }

  /** All members, in the order of lists. */
  all(roomId: string, session?: ClientSession): Promise<MemberDocument[]> {
    return this.#members.find({ roomId }, { session }).sort(inOrder).toArray()
  }

  /** Members of several rooms, by the room. */
  async ofRooms(roomIds: readonly string[], session: ClientSession): Promise<Map<string, MemberDocument[]>> {
    const found = await this.#members.find({ roomId: { $in: [...roomIds] } }, { session }).toArray()
    return Map.groupBy(found, ({ roomId }) => roomId)
  }

  /** Owner and admins. */
  moderators(roomId: string): Promise<MemberDocument[]> {
    return this.#members
      .find({ roomId, rank: { $lt: 3 } })
      .sort(inOrder)
      .toArray()
  }

  async add(members: readonly MemberDocument[], { session }: Change): Promise<void> {
    for (let from = 0; from < members.length; from += insertedAtOnce)
      await this.#members.insertMany(members.slice(from, from + insertedAtOnce), { session, ordered: true })
  }

  async set({ _id }: MemberDocument, fields: Partial<MemberDocument>, { session }: Change): Promise<void> {
    await this.#members.updateOne({ _id }, { $set: fields }, { session })
  }

  async remove({ _id }: MemberDocument, { session }: Change): Promise<void> {
    await this.#members.deleteOne({ _id }, { session })
  }

  async removeAll(roomId: string, { session }: Change): Promise<void> {
    await this.#members.deleteMany({ roomId }, { session })
  }

  /** Members who have no nickname of their own in a room are called what the user is called. */
  async rename(userId: number, nickname: string, { session }: Change): Promise<void> {
    await this.#members.updateMany({ userId, isNamed: false }, { $set: { nickname } }, { session })
  }
}

const seenBy = ({ roles, self }: View): Filter<MemberDocument> => ({
  $or: [{ role: { $in: [...roles] } }, { userId: self }],
})
