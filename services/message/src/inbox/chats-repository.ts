import { asConflict, type Change, ensureIndexes, findNewest } from '@im/service-kit'
import type { AnyBulkWriteOperation, ClientSession, Collection, Db, ObjectId } from 'mongodb'
import { usersOf } from '../messages/conversations.ts'
import type { Place } from '../messages/message-document.ts'

/**
 * A single chat, as its two users see it in their lists. It says which message each of them is shown and holds none of its
 * text: the archive is asked for that, and whether it may still be seen.
 */
export interface Chat {
  /** The conversation. */
  _id: string
  /** The user with the lower id, and the other one. */
  low: ChatSide
  high: ChatSide
  /** Order key (seconds) of the newest message of any type. */
  latest: number
  /**
   * Counts writes. Each archived message writes its chat, also when it is not shown: so a transaction that takes a message
   * back and shows an older one meets it as a conflict.
   */
  writes: number
  /** The later one of `clearedBefore` of the two sides: finds the chats that were cleared a moment ago. */
  clearedBefore?: number
  /** When the texts that both sides have lost by clearing are taken away. */
  sweepAt?: Date
}

export interface ChatSide {
  user: number
  /** The newest message of a listed type this user sees, and its place; absent when there is none. */
  shown?: ObjectId
  timeSend?: number
  ts?: number
  /** What arrived up to this moment (ms) does not bring the chat back into the list of this user, however often it comes. */
  hiddenAt?: number
  /** Messages before this moment (seconds) are cleared for this user. */
  clearedBefore?: number
  /** The bound up to which the last sweep has looked. */
  sweptBefore?: number
}

export type SideName = 'low' | 'high'
export const sideNames = ['low', 'high'] as const

export const sideOf = (chat: Pick<Chat, SideName>, user: number): ChatSide =>
  chat.low.user === user ? chat.low : chat.high
export const peerOf = (chat: Pick<Chat, SideName>, user: number): ChatSide =>
  chat.low.user === user ? chat.high : chat.low

export function newChat(conversation: string): Chat {
  const [low = 0, high = 0] = usersOf(conversation) ?? []
  return { _id: conversation, low: { user: low }, high: { user: high }, latest: 0, writes: 0 }
}

/** Where the message a side shows stands; undefined when it shows none. */
export const shownPlace = ({ shown, timeSend, ts }: ChatSide): Place | undefined =>
  shown && { _id: shown, timeSend: timeSend ?? 0, ts: ts ?? 0 }

export const withShown = (
  { shown: _, timeSend: __, ts: ___, ...side }: ChatSide,
  place: Place | undefined,
): ChatSide => (place ? { ...side, shown: place._id, timeSend: place.timeSend, ts: place.ts } : side)

/** Where a chat stands in the list of one of its users. */
export interface ListPlace {
  timeSend: number
  conversation: string
}

const mostOfUser = 10_000

export class ChatsRepository {
  readonly collection: Collection<Chat>

  constructor(db: Db) {
    this.collection = db.collection<Chat>('chats')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: { 'low.user': 1, 'low.timeSend': -1, _id: -1 } },
      { key: { 'high.user': 1, 'high.timeSend': -1, _id: -1 } },
      { key: { clearedBefore: 1 }, sparse: true },
      ...sideNames.map((side) => ({
        key: { [`${side}.user`]: 1, [`${side}.clearedBefore`]: 1 },
        partialFilterExpression: { [`${side}.clearedBefore`]: { $exists: true } },
      })),
      { key: { sweepAt: 1 }, sparse: true },
    ])
  }

  async get(conversation: string, session?: ClientSession): Promise<Chat | undefined> {
    return (await this.collection.findOne({ _id: conversation }, { session })) ?? undefined
  }

  /** By conversation. */
  async byIds(conversations: readonly string[], session?: ClientSession): Promise<Map<string, Chat>> {
    if (!conversations.length) return new Map()
    const found = await this.collection
      .find({ _id: { $in: [...new Set(conversations)] } }, { session, batchSize: 1000 })
      .toArray()
    return new Map(found.map((chat) => [chat._id, chat]))
  }

  /** Sets chats to what they are now; those that were not stored yet have no writes. */
  write(chats: readonly Chat[], { later }: Pick<Change, 'later'>): void {
    // One that somebody else has begun meanwhile is a conflict like any other.
    for (const chat of chats) later(this.collection, writing(chat), asConflict)
  }

  /** The later bound of each chat that one side has cleared up to after this moment (seconds). */
  async clearedAfter(moment: number): Promise<Map<string, number>> {
    const found = await this.collection
      .find({ clearedBefore: { $gt: moment } })
      .project<{ _id: string; clearedBefore: number }>({ clearedBefore: 1 })
      .toArray()
    return new Map(found.map(({ _id, clearedBefore }) => [_id, clearedBefore]))
  }

  /**
   * The list of a user: chats that show them something, newest first, between two moments (seconds, `before` is not in). Chats
   * of the same moment are in the order of their conversations, the last one first.
   */
  async list(
    user: number,
    range: { from?: number | undefined; before?: number | undefined; below?: ListPlace | undefined },
    limit: number,
    now: number,
  ): Promise<Chat[]> {
    const parts = await Promise.all(sideNames.map((side) => this.#listAs(side, user, range, limit, now)))
    return parts
      .flat()
      .sort((a, b) => timeIn(b, user) - timeIn(a, user) || (a._id < b._id ? 1 : -1))
      .slice(0, limit)
  }

  async #listAs(
    side: SideName,
    user: number,
    {
      from = 1,
      before,
      below,
    }: { from?: number | undefined; before?: number | undefined; below?: ListPlace | undefined },
    limit: number,
    now: number,
  ): Promise<Chat[]> {
    const [owner, time] = [`${side}.user`, `${side}.timeSend`]
    const sort = { [time]: -1, _id: -1 } as const
    const isWanted = before === undefined || !below || below.timeSend < before
    const same =
      below && isWanted && below.timeSend >= from
        ? await this.collection
            .find({ [owner]: user, [time]: below.timeSend, _id: { $lt: below.conversation } }, { sort, limit })
            .toArray()
        : []
    const end = below && isWanted ? below.timeSend : before
    const range = { equal: { [owner]: user }, field: time, from, before: end, sort, limit }
    return [...same, ...(await findNewest(this.collection, range, now / 1000))]
  }

  /** Up to when (seconds) a user has cleared chats, by their peers. */
  async clearedBy(user: number): Promise<Map<number, number>> {
    const parts = await Promise.all(
      sideNames.map((side) =>
        this.collection
          .find({ [`${side}.user`]: user, [`${side}.clearedBefore`]: { $exists: true } }, { batchSize: 5000 })
          .project<Pick<Chat, '_id' | 'low' | 'high'>>({ low: 1, high: 1 })
          .toArray(),
      ),
    )
    return new Map(parts.flat().map((chat) => [peerOf(chat, user).user, sideOf(chat, user).clearedBefore ?? 0]))
  }

  /** The chats of a user, ten thousand at most of each side: who they are with, and when they were last written to. */
  async ofUser(user: number): Promise<Pick<Chat, '_id' | 'low' | 'high' | 'latest'>[]> {
    const parts = await Promise.all(
      sideNames.map((side) =>
        this.collection
          .find({ [`${side}.user`]: user }, { batchSize: mostOfUser })
          .project<Pick<Chat, '_id' | 'low' | 'high' | 'latest'>>({
            ...{ 'low.user': 1, 'high.user': 1, 'low.clearedBefore': 1, 'high.clearedBefore': 1, latest: 1 },
          })
          .limit(mostOfUser)
          .toArray(),
      ),
    )
    return parts.flat()
  }

  /** Conversations of these users whose newest message that they are shown is of this moment (seconds) or later. */
  async writtenTo(users: readonly number[], from: number, limit: number): Promise<string[]> {
    const parts = await Promise.all(
      sideNames.map((side) =>
        this.collection
          .find({ [`${side}.user`]: { $in: [...users] }, [`${side}.timeSend`]: { $gte: from } }, { batchSize: limit })
          .project<{ _id: string }>({ _id: 1 })
          .limit(limit)
          .toArray(),
      ),
    )
    return [...new Set(parts.flat().map(({ _id }) => _id))]
  }

  /** The conversations of all chats of a user. */
  async conversationsOf(user: number): Promise<string[]> {
    const parts = await Promise.all(
      sideNames.map((side) =>
        this.collection
          .find({ [`${side}.user`]: user }, { batchSize: 5000 })
          .project<{ _id: string }>({ _id: 1 })
          .toArray(),
      ),
    )
    return parts.flat().map(({ _id }) => _id)
  }

  /** Chats whose cleared texts are to be swept. */
  async toSweep(now: number, limit: number): Promise<Chat[]> {
    return await this.collection
      .find({ sweepAt: { $lte: new Date(now) } })
      .sort({ sweepAt: 1 })
      .limit(limit)
      .toArray()
  }

  /** The sweep has looked at all this chat had cleared. One that was cleared again meanwhile is swept again. */
  async markSwept({ _id, low, high, sweepAt }: Chat): Promise<void> {
    const swept = { 'low.sweptBefore': low.clearedBefore, 'high.sweptBefore': high.clearedBefore }
    await this.collection.updateOne({ _id }, { $set: swept, $inc: { writes: 1 } })
    await this.collection.updateOne({ _id, sweepAt }, { $unset: { sweepAt: '' }, $inc: { writes: 1 } })
  }
}

const timeIn = (chat: Chat, user: number) => sideOf(chat, user).timeSend ?? 0

function writing(chat: Chat): AnyBulkWriteOperation<Chat> {
  const { _id, writes, ...fields } = chat
  if (!writes) return { insertOne: { document: { ...chat, writes: 1 } } }
  return { replaceOne: { filter: { _id }, replacement: { ...fields, writes: writes + 1 } } }
}
