import { messageType } from '@im/contracts/message'
import { type Change, changeMany, ensureIndexes, findNewest, hintFor, indexedAnd } from '@im/service-kit'
import type { AnyBulkWriteOperation, ClientSession, Collection, Db, Document, ObjectId } from 'mongodb'
import { mostLate } from '../read/order-key.ts'
import { roomConversation, usersOf } from './conversations.ts'
import {
  isNewer,
  keyText,
  type MessageDocument,
  type MessageKey,
  newestFirst,
  type Place,
  type Reader,
  type RefusedMessage,
  type Tie,
  type Visibility,
} from './message-document.ts'

/** A week: for so long a copy of a message may come again (spec xmpp.md §3). */
const stoneLife = 7 * 86_400_000

/** What is known of a message that was stored before. */
export type KnownMessage = MessageKey &
  Place &
  Visibility &
  Pick<MessageDocument, 'contentType' | 'to' | 'tap' | 'searchable' | 'file' | 'refused'>

/** What push has to know of a message that somebody was given. */
export type GivenMessage = KnownMessage & Pick<MessageDocument, 'roomJid' | 'isEncrypt'>

export const knownFields = {
  ...{ conversation: 1, messageId: 1, from: 1, to: 1, tap: 1, contentType: 1, searchable: 1, file: 1 },
  ...{ timeSend: 1, ts: 1, deletedFor: 1, expireAt: 1, gone: 1, refused: 1 },
} as const

/** A part of a conversation in seconds: from `from` on, up to but without `before`. */
export interface Range {
  conversation: string
  from?: number | undefined
  before?: number | undefined
}

/** About the time (seconds) of the newest message. */
export type Near = number | (() => Promise<number>)

/** Finds a message by its id alone; the unique index begins with the conversation. */
const byMessageId = { messageId: 1, from: 1, to: 1 } as const

/** Counts unread messages without looking at them: few messages are unread, so the index is small. */
const unread = { unreadBy: 1, from: 1, timeSend: 1, expireAt: 1 } as const
/** Unread messages that one question counts. */
const mostUnread = 20_000

/** A message of a single chat, as its receiver has it. */
type Received = Pick<MessageDocument, 'messageId' | 'from' | 'timeSend'> & { to: number }

export type Unread = Pick<MessageDocument, 'from' | 'timeSend' | 'expireAt'>

const visibleIn = (conversation: string, { user, clearedBefore = 0, now }: Reader) =>
  indexedAnd<MessageDocument>(
    { conversation, timeSend: { $gte: clearedBefore } },
    { deletedFor: { $ne: user }, $or: [{ expireAt: { $exists: false } }, { expireAt: { $gt: new Date(now) } }] },
  )

/** The archive. */
export class MessagesRepository {
  readonly collection: Collection<MessageDocument>

  constructor(db: Db) {
    this.collection = db.collection<MessageDocument>('messages')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      // De-duplication stands on it. On a sharded cluster a unique index begins with the shard key, `conversation`.
      { key: { conversation: 1, messageId: 1, from: 1 }, unique: true },
      { key: byMessageId },
      { key: { conversation: 1, ...newestFirst } },
      { key: { roomJid: 1, ts: -1, _id: -1 }, sparse: true },
      { key: { roomJid: 1, late: 1, ...newestFirst }, partialFilterExpression: { late: true } },
      { key: { expireAt: 1 }, sparse: true },
      { key: { ...unread }, partialFilterExpression: { unreadBy: { $exists: true } } },
      { key: { file: 1 }, sparse: true },
      { key: { removeAt: 1 }, expireAfterSeconds: 0, sparse: true },
    ])
  }

  readonly #byMessageId = () => hintFor(this.collection, byMessageId)

  /**
   * Those of the keys that are stored already, stones included, by `keyText`. It also sees what is committed here and not yet
   * by a majority: an insert fails on that, too.
   */
  async known(keys: readonly MessageKey[], session?: ClientSession): Promise<Map<string, KnownMessage>> {
    if (!keys.length) return new Map()
    const wanted = new Set(keys.map(keyText))
    const receivers = keys.map((key) => receiverOf(key).to ?? null)
    const found = await this.collection
      .find(
        {
          messageId: { $in: unique(keys.map(({ messageId }) => messageId)) },
          from: { $in: unique(keys.map(({ from }) => from)) },
          to: { $in: unique(receivers) as number[] },
        },
        { ...(await this.#byMessageId()), ...(session ? { session } : { readConcern: { level: 'local' } }) },
      )
      .project<KnownMessage>(knownFields)
      .toArray()
    return new Map(found.map((one) => [keyText(one), one] as const).filter(([key]) => wanted.has(key)))
  }

  /** Whole messages by their keys (`keyText`), stones included. */
  async byKeys(keys: readonly MessageKey[]): Promise<Map<string, MessageDocument>> {
    if (!keys.length) return new Map()
    const wanted = new Set(keys.map(keyText))
    const found = await this.collection
      .find(
        {
          messageId: { $in: unique(keys.map(({ messageId }) => messageId)) },
          from: { $in: unique(keys.map(({ from }) => from)) },
          to: { $in: unique(keys.map((key) => receiverOf(key).to ?? null)) as number[] },
        },
        await this.#byMessageId(),
      )
      .toArray()
    return new Map(found.map((one) => [keyText(one), one] as const).filter(([key]) => wanted.has(key)))
  }

  /** Messages of single chats that users were given under these ids, without their texts. */
  async given(all: readonly { userId: number; messageIds: readonly string[] }[]): Promise<GivenMessage[]> {
    if (!all.length) return []
    const ids = new Map(all.map(({ userId, messageIds }) => [userId, new Set(messageIds)]))
    const messageIds = [...new Set(all.flatMap((one) => one.messageIds))]
    const found = await this.collection
      .find(indexedAnd<MessageDocument>({ messageId: { $in: messageIds } }, { to: { $in: [...ids.keys()] } }), {
        ...(await this.#byMessageId()),
        batchSize: 1000,
      })
      .project<GivenMessage>({ ...knownFields, roomJid: 1, isEncrypt: 1 })
      .toArray()
    return found.filter(({ to = 0, messageId }) => ids.get(to)?.has(messageId))
  }

  /** Messages of a room by their ids, whoever sent them. */
  async ofRoom(conversation: string, messageIds: readonly string[], session?: ClientSession): Promise<KnownMessage[]> {
    return await this.collection
      .find(
        { messageId: { $in: unique(messageIds) }, to: { $exists: false }, conversation, refused: { $exists: false } },
        { session, ...(await this.#byMessageId()) },
      )
      .project<KnownMessage>(knownFields)
      .toArray()
  }

  /** The last messages that came to a room, the newest first, not before `from` (ms); stones are not among them. */
  async lastOfRoom(roomJid: string, from: number, limit: number): Promise<MessageDocument[]> {
    const order = { ts: -1, _id: -1 } as const
    const range = { equal: { roomJid }, field: 'ts', perSecond: 1000, from, sort: order, limit }
    return (await findNewest(this.collection, range, Date.now())).filter(({ gone }) => !gone)
  }

  /** The last messages that came to any of these rooms, the newest first, not before `from` (ms); stones are among them. */
  async lastOfRooms(roomJids: readonly string[], from: number, limit: number): Promise<MessageDocument[]> {
    return await this.collection
      .find({ $or: roomJids.map((roomJid) => ({ roomJid, ts: { $gte: from } })) }, { batchSize: limit + 1 })
      .sort({ ts: -1, _id: -1 })
      .limit(limit)
      .toArray()
  }

  /**
   * Messages that came to a room since a moment (ms) and say that they were sent before it, the newest first. They came within
   * a day of it (`orderKey`). Most that are late are so by seconds, the others have an index of their own: nothing else of the
   * room is read, and what was said only of a few at once.
   */
  async *antedatedOfRoom(
    roomJid: string,
    since: number,
    { before = Number.POSITIVE_INFINITY, limit }: { before?: number | undefined; limit: number },
  ): AsyncGenerator<MessageDocument> {
    const earlier = (seconds: number) => ({ $gte: since / 1000 - seconds, $lt: Math.min(since / 1000, before) })
    const sent = [
      { conversation: roomConversation(roomJid), timeSend: earlier(lateFrom) },
      { roomJid, late: true as const, timeSend: earlier(mostLate) },
    ]
    // When they came is looked at here: the stand-in takes no index for two ranges.
    const projection = { timeSend: 1, ts: 1, late: 1, gone: 1 }
    const found = await Promise.all(
      sent.map((filter) =>
        this.collection.find(filter, { sort: newestFirst, limit: mostLateRead, projection }).toArray(),
      ),
    )
    const [soon, late] = found as [MessageDocument[], MessageDocument[]]
    const places = [...soon.filter((message) => !message.late), ...late]
      .filter(({ ts, gone }) => ts >= since && !gone)
      .sort((a, b) => (isNewer(a, b) ? -1 : 1))
      .slice(0, limit)
    for (let at = 0; at < places.length; at += lateAtOnce) {
      const ids = places.slice(at, at + lateAtOnce).map(({ _id }) => _id)
      const whole = await this.collection.find({ _id: { $in: ids } }, { batchSize: lateAtOnce + 1 }).toArray()
      const byId = new Map(whole.map((message) => [message._id.toHexString(), message]))
      for (const id of ids) {
        const message = byId.get(id.toHexString())
        if (message && !message.gone) yield message
      }
    }
  }

  /** Some messages of a conversation that are not stones. These have no place in it, so however many there are, they are not read. */
  async someOf(conversation: string, limit: number, session: ClientSession): Promise<KnownMessage[]> {
    return await this.collection
      .find({ conversation, timeSend: { $gte: 0 } }, { session, sort: newestFirst })
      .limit(limit)
      .project<KnownMessage>(knownFields)
      .toArray()
  }

  /** A duplicate key fails the whole transaction: nothing of the batch is stored then. */
  store(messages: readonly MessageDocument[], { later }: Pick<Change, 'later'>): void {
    for (const message of messages) {
      const document = isLate(message) ? { ...message, late: true as const } : message
      later(this.collection, { insertOne: { document } })
    }
  }

  /** The peers of these authors have read messages of theirs, and with them what they had of these authors before. */
  async markReadBetween(
    reads: readonly { author: number; reader: number; messageIds: readonly string[] }[],
  ): Promise<void> {
    if (!reads.length) return
    const read = await this.#received(
      reads.flatMap(({ messageIds }) => messageIds),
      reads.map(({ reader }) => reader),
    )
    const named = new Set(
      reads.flatMap(({ author, reader, messageIds }) => messageIds.map((id) => `${author} ${reader} ${id}`)),
    )
    await changeMany(
      this.collection,
      [
        ...reads.map(({ author, reader, messageIds }) => ({
          updateMany: {
            filter: { messageId: { $in: [...messageIds] }, from: author, to: reader, isRead: false },
            update: { $set: { isRead: true }, $unset: { unreadBy: '' } } as const,
          },
        })),
        ...endOfUnread(read.filter(({ from, to, messageId }) => named.has(`${from} ${to} ${messageId}`))),
      ],
      { ordered: false },
    )
  }

  /** Messages of single chats that `userId` received. */
  async markReadBy(userId: number, messageIds: readonly string[]): Promise<void> {
    const read = await this.#received(messageIds, [userId])
    const filter = { messageId: { $in: [...messageIds] }, to: userId }
    const update = { $set: { isRead: true }, $unset: { unreadBy: '' } } as const
    await changeMany(this.collection, [{ updateMany: { filter, update } }, ...endOfUnread(read)])
  }

  /** When these messages to these users were sent; stones are not among them. */
  async #received(messageIds: readonly string[], to: readonly number[]): Promise<Received[]> {
    const found = await this.collection
      .find({ messageId: { $in: unique(messageIds) }, to: { $in: unique(to) } }, { batchSize: 5000 })
      .project<Received>({ _id: 0, messageId: 1, from: 1, to: 1, timeSend: 1 })
      .toArray()
    return found.filter(({ timeSend }) => timeSend !== undefined)
  }

  /** What a user has not read yet, of these authors or of all. */
  async unreadOf(userId: number, authors: readonly number[] | undefined): Promise<Unread[]> {
    return await this.collection
      .find(
        { unreadBy: userId, ...(authors ? { from: { $in: [...authors] } } : {}) },
        {
          batchSize: mostUnread,
          ...(await hintFor(this.collection, unread)),
        },
      )
      .project<Unread>({ _id: 0, from: 1, timeSend: 1, expireAt: 1 })
      .limit(mostUnread)
      .toArray()
  }

  /**
   * The messages of a range, newest first, from below `after` on when given; stones are not among them. The index gives them in
   * order, and whoever reads leaves out what its reader may not see. `near`: about the time (seconds) of the newest one.
   */
  async *newestFirst<T extends Place = MessageDocument>(
    { conversation, from, before }: Range,
    options: { near: Near; after?: Place | undefined; chunk: number; session?: ClientSession; projection?: Document },
  ): AsyncGenerator<T> {
    const { near, after, chunk, session, projection } = options
    const same = { sort: newestFirst, session, ...(projection ? { projection } : {}) }
    for (let last = after, limit = chunk; ; limit = Math.min(2 * limit, mostAtOnce)) {
      // What stands before the range may be the end of a page that has more than the range.
      if (last && last.timeSend >= (from ?? 0)) {
        // Those of the very same time that come after the last one: they are few.
        const ties = this.collection.find({ conversation, timeSend: last.timeSend, ts: { $lte: last.ts } }, same)
        for await (const message of ties) if (isNewer(last, message)) yield message as unknown as T
      }
      const range = {
        equal: { conversation },
        field: 'timeSend' as const,
        from: from ?? 0,
        before: last?.timeSend ?? before,
      }
      const rows = await findNewest(this.collection, { ...range, ...same, limit }, near)
      yield* rows as unknown as T[]
      last = rows.at(-1)
      if (!last || rows.length < limit) return
    }
  }

  /** Messages of conversations from a moment (seconds) on, without stones. */
  async since(conversations: readonly string[], from: number, limit: number): Promise<MessageDocument[]> {
    return await this.collection
      .find({ conversation: { $in: [...conversations] }, timeSend: { $gte: from } }, { batchSize: limit })
      .limit(limit)
      .toArray()
  }

  /** Some of the messages of a conversation that a reader sees, newest first. */
  async visible(conversation: string, reader: Reader, skip: number, limit: number): Promise<MessageDocument[]> {
    const found = this.collection.find(visibleIn(conversation, reader))
    return await found.sort(newestFirst).skip(skip).limit(limit).toArray()
  }

  /** How long (characters) the bodies of the newest of them are, in their order; no more than `mostCounted`. */
  async visibleLengths(conversation: string, reader: Reader, limit: number): Promise<number[]> {
    const found = await this.collection
      .aggregate<{ length: number }>([
        { $match: visibleIn(conversation, reader) },
        { $sort: newestFirst },
        { $limit: Math.min(limit, mostCounted) },
        { $project: { _id: 0, length: { $strLenCP: '$body' } } },
      ])
      .toArray()
    return found.map(({ length }) => length)
  }

  /** How many there are, counted to `mostCounted`. */
  async countVisible(conversation: string, reader: Reader): Promise<number> {
    return await this.collection.countDocuments(visibleIn(conversation, reader), { limit: mostCounted })
  }

  /** Where the `n`-th newest message of a range stands, whoever sees it; undefined when there are fewer. */
  async placeAt({ conversation, from, before }: Range, n: number, near: Near): Promise<Place | undefined> {
    const rows = await findNewest(
      this.collection,
      {
        ...{ equal: { conversation }, field: 'timeSend', from: from ?? 0, before, sort: newestFirst, limit: n },
        projection: { timeSend: 1, ts: 1 },
      },
      near,
    )
    return rows[n - 1]
  }

  /** The newest message of a conversation that may stand in the list of chats of somebody who sees these messages. */
  async newestListed(
    conversation: string,
    isSeen: (message: MessageDocument) => boolean,
    { near, from, session }: { near: number; from?: number | undefined; session?: ClientSession },
  ): Promise<MessageDocument | undefined> {
    const found = this.newestFirst({ conversation, from }, { near, chunk: 10, ...(session ? { session } : {}) })
    for await (const message of found) if (messageType(message.contentType).listed && isSeen(message)) return message
    return undefined
  }

  /** What lists of chats show of messages, by their ids as hex. */
  async forList(ids: readonly ObjectId[]): Promise<Map<string, MessageDocument>> {
    if (!ids.length) return new Map()
    const found = await this.collection
      .find({ _id: { $in: [...ids] } }, { batchSize: 1000 })
      .project<MessageDocument>({
        ...{ conversation: 1, messageId: 1, from: 1, to: 1, nickname: 1, toName: 1, contentType: 1, isEncrypt: 1 },
        ...{ timeSend: 1, ts: 1, deletedFor: 1, expireAt: 1, gone: 1 },
        content: { $substrCP: ['$content', 0, longestPreview] },
      })
      .toArray()
    return new Map(found.map((message) => [message._id.toHexString(), message]))
  }

  /** Messages of single chats by id that `userId` sent or received. Both sides may have used the same id. */
  async ofUser(userId: number, messageIds: readonly string[]): Promise<MessageDocument[]> {
    const messageId = { $in: [...messageIds] }
    const [sent, received] = await Promise.all([
      this.collection.find({ messageId, from: userId, to: { $exists: true } }).toArray(),
      this.collection.find({ messageId, to: userId }).toArray(),
    ])
    return [...sent, ...received]
  }

  /** Messages of these rooms by their ids, whoever sent them; stones are not among them. */
  async inRooms(jids: readonly string[], messageIds: readonly string[]): Promise<MessageDocument[]> {
    if (!jids.length || !messageIds.length) return []
    const conversation = { $in: jids.map(roomConversation) }
    return await this.collection
      .find(
        { messageId: { $in: unique(messageIds) }, to: { $exists: false }, conversation, gone: { $exists: false } },
        await this.#byMessageId(),
      )
      .toArray()
  }

  /** Whether one of these ids is a message of `author`, recalled ones included. Unknown and refused ones say nothing. */
  async anyFrom(author: number, conversation: string, messageIds: readonly string[]): Promise<boolean> {
    const known = await this.known(messageIds.map((messageId) => ({ conversation, messageId, from: author })))
    return [...known.values()].some(({ refused }) => !refused)
  }

  /** What decides who sees these messages, as it is in the transaction. */
  async visibilityOf(ids: readonly ObjectId[], session?: ClientSession): Promise<KnownMessage[]> {
    return await this.collection
      .find({ _id: { $in: [...ids] } }, { session, batchSize: ids.length + 1 })
      .project<KnownMessage>(knownFields)
      .toArray()
  }

  /** Hides messages from one user. */
  async hide(ids: readonly ObjectId[], userId: number, session: ClientSession): Promise<void> {
    if (!ids.length) return
    const these = { _id: { $in: [...ids] } }
    await this.collection.updateMany(these, { $addToSet: { deletedFor: userId } }, { session })
    await this.collection.updateMany({ ...these, unreadBy: userId }, { $unset: { unreadBy: '' } }, { session })
  }

  /** Makes stones of messages: their text goes at once, and a late copy is kept out for a week. */
  async empty(ids: readonly ObjectId[], now: number, session: ClientSession): Promise<void> {
    if (!ids.length) return
    await this.collection.updateMany(
      { _id: { $in: [...ids] } },
      {
        $set: { body: '', content: '', searchable: false, gone: true, deletedFor: [], removeAt: removalOf(now) },
        $unset: {
          fileName: '',
          file: '',
          nickname: '',
          toName: '',
          stanza: '',
          timeSend: '',
          expireAt: '',
          unreadBy: '',
          refused: '',
          late: '',
        },
      },
      { session },
    )
  }

  /** Stones for messages that were recalled before they came. */
  async addStones(stones: readonly (MessageKey & { tap: string })[], now: number, session: ClientSession) {
    if (!stones.length) return
    const made = stones.map(({ tap, ...key }) => ({ ...stoneOf(key, tap, now), ts: now }))
    await this.collection.insertMany(made as unknown as MessageDocument[], { session })
  }

  /** Stones for messages that are refused. A duplicate key fails the whole transaction. */
  addRefused(
    stones: readonly (RefusedMessage & { tap: string })[],
    now: number,
    { later }: Pick<Change, 'later'>,
  ): void {
    for (const { tap, ts, refusal: refused, ...key } of stones) {
      const document = { ...stoneOf(key, tap, now), ts, refused } as unknown as MessageDocument
      later(this.collection, { insertOne: { document } })
    }
  }

  /**
   * Where messages stand that have their conversation and time of sending from these and do not stand before all of them, up to a
   * bound: messages of one moment are many only when somebody makes them so, and that is their own order.
   */
  async ofMoments(messages: readonly MessageDocument[]): Promise<Tie[]> {
    if (!messages.length) return []
    const moments = {
      $or: [...Map.groupBy(messages, ({ conversation }) => conversation)].map(([conversation, its]) => ({
        conversation,
        timeSend: { $in: unique(its.map(({ timeSend }) => timeSend)) },
      })),
      ts: { $gte: Math.min(...messages.map(({ ts }) => ts)) },
    }
    return await this.collection
      .find(moments, { batchSize: mostTies + 1, readConcern: { level: 'local' } })
      .project<Tie>({ _id: 0, conversation: 1, from: 1, timeSend: 1, ts: 1 })
      .limit(mostTies)
      .toArray()
  }

  /** Senders are told once more what stands in these stones. False when one of them is not what it was. */
  async tellAgain(stones: readonly Pick<KnownMessage, '_id'>[], now: number, session: ClientSession): Promise<boolean> {
    if (!stones.length) return true
    const these = { _id: { $in: stones.map(({ _id }) => _id) }, refused: { $exists: true } }
    const { matchedCount } = await this.collection.updateMany(these, { $max: { ts: now } }, { session })
    return matchedCount === stones.length
  }

  /** Takes stones of refused messages away for another attempt. False when one of them is not what it was. */
  async removeRefused(stones: readonly Pick<KnownMessage, '_id' | 'ts'>[], session: ClientSession): Promise<boolean> {
    if (!stones.length) return true
    const these = stones.map(({ _id, ts }) => ({ _id, ts, refused: { $exists: true } }))
    const { deletedCount } = await this.collection.deleteMany({ $or: these }, { session })
    return deletedCount === stones.length
  }

  /** Those of these files that some message shows. */
  async shownFiles(names: readonly string[]): Promise<Set<string>> {
    if (!names.length) return new Set()
    const found = this.collection
      .find({ file: { $in: [...names] } })
      .project<{ file: string | string[] }>({ _id: 0, file: 1 })
    const shown = new Set<string>()
    for await (const { file } of found) for (const name of [file].flat()) shown.add(name)
    return shown
  }

  /** Messages that have expired, the oldest first. */
  async expired(now: number, limit: number, session: ClientSession): Promise<KnownMessage[]> {
    return await this.collection
      .find({ expireAt: { $lte: new Date(now) } }, { session })
      .sort({ expireAt: 1 })
      .limit(limit)
      .project<KnownMessage>(knownFields)
      .toArray()
  }
}

/** Characters of a text that a list of chats shows: apps show one line. */
const longestPreview = 500

/** Messages of a conversation that are counted, and that a page of them may skip. */
const mostCounted = 10_000

/** Rows of one query. */
const mostAtOnce = 1000
/** Rows of the moments of one batch. */
const mostTies = 10_000

/** Seconds from which on a message of a room counts as late. */
const lateFrom = 10
/** Messages that are read to find those that were late for somebody. */
const mostLateRead = 2000
/** Of these, how many are read whole at once. */
const lateAtOnce = 200

const isLate = ({ roomJid, ts, timeSend }: MessageDocument) => roomJid !== undefined && ts / 1000 - timeSend >= lateFrom

/** What came before a message that its reader has read is unread no more. */
function endOfUnread(read: readonly Received[]): AnyBulkWriteOperation<MessageDocument>[] {
  const chats = Map.groupBy(read, ({ from, to }) => `${from} ${to}`)
  return [...chats.values()].map((some) => {
    const { from, to: unreadBy, timeSend } = some.reduce((a, b) => (b.timeSend > a.timeSend ? b : a))
    const filter = { unreadBy, from, timeSend: { $lt: timeSend } }
    return { updateMany: { filter, update: { $unset: { unreadBy: '' } } } }
  })
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]

/** The receiver of a message, by its key: single chats only. */
const receiverOf = ({ conversation, from }: MessageKey) => {
  const to = usersOf(conversation)?.find((user) => user !== from)
  return to === undefined ? {} : { to }
}

const stoneOf = (key: MessageKey, tap: string, now: number) => ({
  ...{ ...key, ...receiverOf(key), tap, body: '', content: '', searchable: false, deletedFor: [] },
  ...{ gone: true, removeAt: removalOf(now) },
})

const removalOf = (now: number) => new Date(now + stoneLife)
