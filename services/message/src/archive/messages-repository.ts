import { messageType, messageTypes } from '@im/contracts/message'
import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, Filter, ObjectId } from 'mongodb'

/**
 * One stored message; the two rows a single chat shows (spec 07-message.md) are views of it.
 * `conversation` is `u:<low>:<high>` or `r:<room jid>`.
 */
export interface MessageDocument {
  _id: ObjectId
  conversation: string
  messageId: string
  from: number
  /** Receiver; single chats only. */
  to?: number
  roomJid?: string
  fromJid: string
  toJid: string
  /** Name of the sender at that time, from the body. */
  nickname?: string
  /** The JSON text, byte for byte as sent. */
  body: string
  /**
   * The stanza as XML, its body element left empty. Absent when it holds nothing but what stands in other fields, as almost
   * every one does. `stanzaOf` gives it whole.
   */
  stanza?: string
  contentType: number
  /** `body.content` as text, '' when absent. */
  content: string
  /** `body.fileName` of files (type 9). */
  fileName?: string
  /** Order key in seconds (spec xmpp.md §10). */
  timeSend: number
  /** Arrival at the XMPP server in ms. */
  ts: number
  /** Expiry in seconds, -1 never. */
  deleteTime: number
  /** When MongoDB removes the document: after expiry, or a week after everybody lost sight of it. */
  expireAt?: Date
  isEncrypt: boolean
  isRead: boolean
  /** Users who removed it for themselves. A recalled message has all its readers here. */
  deletedFor: number[]
  /**
   * Recalled, or removed by both sides: an emptied stone that keeps a late copy of the message from being stored again.
   * No reader ever sees it.
   */
  gone?: true
  /** Its type is one of those the search looks at, and it is neither encrypted nor burnt after reading. */
  searchable: boolean
  /** Entry of the XMPP server's log that brought it: `<log>:<seq>`. */
  tap: string
}

/** Identity of a message for de-duplication. The sender belongs to it: the peer may not swallow a message by reusing its id. */
export type MessageKey = Pick<MessageDocument, 'conversation' | 'messageId' | 'from'>

export const keyText = (key: MessageKey) => `${key.messageId} ${key.from} ${key.conversation}`

export const singleConversation = (a: number, b: number) => (a < b ? `u:${a}:${b}` : `u:${b}:${a}`)
/** The two users of a single chat, the lower id first; undefined for a room. */
export const usersOf = (conversation: string): number[] | undefined =>
  conversation.startsWith('u:') ? conversation.slice(2).split(':').map(Number) : undefined
export const roomConversation = (jid: string) => `r:${jid}`

/** Types that may be the last message of a chat. */
const listedTypes = Object.entries(messageTypes)
  .filter(([, type]) => type.listed)
  .map(([code]) => Number(code))

/** A week: for so long a copy of a removed message may still arrive (spec xmpp.md §3). */
const stoneLife = 7 * 86_400_000

/** Bounds of a history page; times in seconds, both ends included. */
export interface HistoryRange {
  conversation: string
  owner: number
  from?: number
  before?: number
  maxType: number
}

/** Position of a row in the newest-first order. */
export type HistoryPosition = Pick<MessageDocument, 'timeSend' | 'ts' | '_id'>

const newestFirst = { timeSend: -1, ts: -1, _id: -1 } as const

/** What a user may see: not removed by him, not recalled, not expired. */
const visibleTo = (userId: number, now: number): Filter<MessageDocument> => ({
  deletedFor: { $ne: userId },
  expireAt: { $not: { $lte: new Date(now) } },
})

/** The same of a message that was read. */
const isVisibleTo = ({ deletedFor, expireAt }: MessageDocument, userId: number, now: number) =>
  !deletedFor.includes(userId) && !(expireAt && expireAt.getTime() <= now)

/** How far back (days) a page is looked for at first, and how many rows more than it wants, for those it may not show. */
const recentDays = [3, 60]
const spareRows = 20

/** The archive. Every read of a single chat goes through its owner's eyes. */
export class MessagesRepository {
  readonly collection: Collection<MessageDocument>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.collection = db.collection<MessageDocument>('messages')
    this.#now = now
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      // Finds a message by its id, too. On a sharded cluster it must begin with the shard key `conversation`.
      { key: { messageId: 1, conversation: 1, from: 1 }, unique: true },
      { key: { conversation: 1, ...newestFirst } },
      { key: { expireAt: 1 }, expireAfterSeconds: 0, sparse: true },
    ])
  }

  /** Those of the keys that are stored already, stones included, by `keyText`. */
  async known(keys: readonly MessageKey[]): Promise<Map<string, Pick<MessageDocument, 'tap' | 'gone'>>> {
    if (!keys.length) return new Map()
    const wanted = new Set(keys.map(keyText))
    const found = await this.collection
      .find({ messageId: { $in: keys.map((key) => key.messageId) } })
      .project<MessageKey & Pick<MessageDocument, 'tap' | 'gone'>>({
        _id: 0,
        messageId: 1,
        conversation: 1,
        from: 1,
        tap: 1,
        gone: 1,
      })
      .toArray()
    return new Map(found.map((message) => [keyText(message), message] as const).filter(([key]) => wanted.has(key)))
  }

  /** A duplicate key fails the whole transaction: nothing of the batch is stored then. */
  async store(messages: MessageDocument[], session: ClientSession): Promise<void> {
    if (messages.length) await this.collection.insertMany(messages, { session })
  }

  /** The peer of `author` in a single chat has read these messages. */
  async markReadBetween(
    reads: readonly { conversation: string; author: number; messageIds: readonly string[] }[],
    session: ClientSession,
  ): Promise<void> {
    if (!reads.length) return
    await this.collection.bulkWrite(
      reads.map(({ conversation, author, messageIds }) => ({
        updateMany: {
          filter: { messageId: { $in: [...messageIds] }, conversation, from: author },
          update: { $set: { isRead: true } },
        },
      })),
      { session, ordered: false },
    )
  }

  /** Messages of single chats that `userId` received. */
  async markReadBy(userId: number, messageIds: readonly string[]): Promise<void> {
    await this.collection.updateMany({ messageId: { $in: [...messageIds] }, to: userId }, { $set: { isRead: true } })
  }

  /**
   * One page of a single chat, newest first, from below `after` on when given, else after `skip` rows. `near`: about the time
   * (seconds) of the newest message.
   */
  async history(
    { conversation, owner, from, before, maxType }: HistoryRange,
    page: { limit: number; after?: HistoryPosition; skip?: number; near?: number },
  ): Promise<MessageDocument[]> {
    const { after, limit, skip = 0, near = Number.POSITIVE_INFINITY } = page
    const upTo = {
      ...(before === undefined ? {} : { $lt: before }),
      ...(after === undefined ? {} : { $lte: after.timeSend }),
    }
    const recent = await this.#recent({
      conversation,
      upTo,
      top: Math.min(after?.timeSend ?? before ?? near, near),
      lowest: from,
      wanted: skip + limit,
      is: (message) =>
        message.contentType < maxType &&
        isVisibleTo(message, owner, this.#now()) &&
        (!after || isBelow(message, after)),
    })
    if (recent) return recent.slice(skip, skip + limit)
    const timeSend = { ...(from === undefined ? {} : { $gte: from }), ...upTo }
    return await this.collection
      .find({
        conversation,
        ...(Object.keys(timeSend).length ? { timeSend } : {}),
        ...(after ? { $or: below(after) } : {}),
        contentType: { $lt: maxType },
        ...visibleTo(owner, this.#now()),
      })
      .sort(newestFirst)
      .skip(skip)
      .limit(limit)
      .toArray()
  }

  /**
   * The newest messages that `is` takes, when enough of them lie within the last days below `top`: almost every page does.
   * Asks for nothing but a range of the index. MongoDB would stop at the limit of the general query just as soon; what stands
   * in for it without internet reads the whole chat as soon as a query names another field, half a second for 50,000 messages.
   */
  async #recent(query: {
    conversation: string
    upTo: { $lt?: number; $lte?: number }
    top: number
    lowest?: number
    wanted: number
    is: (message: MessageDocument) => boolean
    session?: ClientSession
  }): Promise<MessageDocument[] | undefined> {
    const { conversation, upTo, top, lowest = Number.NEGATIVE_INFINITY, wanted, is, session } = query
    if (!Number.isFinite(top)) return undefined
    for (const days of recentDays) {
      const bound = top - days * 86_400
      if (bound <= lowest) return undefined
      const rows = await this.collection
        .find({ conversation, timeSend: { $gte: bound, ...upTo } }, { session })
        .sort(newestFirst)
        .limit(wanted + spareRows)
        .toArray()
      const taken = rows.filter(is)
      if (taken.length >= wanted) return taken.slice(0, wanted)
    }
    return undefined
  }

  /** Messages of single chats by id, as far as `userId` can see them. Both sides may have used the same id. */
  async findForUser(userId: number, messageIds: readonly string[]): Promise<MessageDocument[]> {
    const found = await this.collection
      .find({
        messageId: { $in: [...messageIds] },
        to: { $exists: true },
        ...visibleTo(userId, this.#now()),
      })
      .toArray()
    return found.filter((message) => message.from === userId || message.to === userId)
  }

  /** Whether one of these ids is a message of `author`, recalled ones included. Unknown ids say nothing. */
  async anyFrom(author: number, conversation: string, messageIds: readonly string[]): Promise<boolean> {
    if (!messageIds.length) return false
    const found = await this.collection.findOne(
      { messageId: { $in: [...messageIds] }, conversation, from: author },
      { projection: { _id: 1 } },
    )
    return found !== null
  }

  /** The newest message that may stand in `owner`'s list of chats. */
  async newestListed(conversation: string, owner: number, session?: ClientSession): Promise<MessageDocument | null> {
    const now = this.#now()
    const recent = await this.#recent({
      conversation,
      upTo: {},
      top: now / 1000,
      wanted: 1,
      is: (message) => messageType(message.contentType).listed && isVisibleTo(message, owner, now),
      session,
    })
    if (recent) return recent[0] ?? null
    return await this.collection.findOne(
      { conversation, contentType: { $in: listedTypes }, ...visibleTo(owner, now) },
      { sort: newestFirst, session },
    )
  }

  /** Those of the messages the search may show, as hex: to anybody, or to `userId`. */
  async searchableAmong(ids: readonly ObjectId[], session?: ClientSession, userId?: number): Promise<Set<string>> {
    if (!ids.length) return new Set()
    const found = await this.collection
      .find(
        {
          _id: { $in: [...ids] },
          searchable: true,
          ...(userId === undefined ? {} : visibleTo(userId, this.#now())),
        },
        { session, batchSize: ids.length + 1 },
      )
      .project<{ _id: ObjectId }>({ _id: 1 })
      .toArray()
    return new Set(found.map(({ _id }) => _id.toHexString()))
  }

  /** Hides messages of single chats from one side; what both sides have removed is emptied. */
  async hide(messages: readonly MessageDocument[], userId: number, session: ClientSession): Promise<void> {
    const seenByPeer = messages.filter((message) => !message.deletedFor.some((other) => other !== userId))
    const seenByNobody = messages.filter((message) => message.deletedFor.some((other) => other !== userId))
    if (seenByPeer.length)
      await this.collection.updateMany(
        { _id: { $in: seenByPeer.map(({ _id }) => _id) } },
        { $addToSet: { deletedFor: userId } },
        { session },
      )
    await this.empty(seenByNobody, session)
  }

  /** Removes messages for everybody: their text goes at once, a stone keeps late copies out for a week. */
  async empty(messages: readonly MessageDocument[], session: ClientSession): Promise<void> {
    if (!messages.length) return
    const expireAt = new Date(this.#now() + stoneLife)
    await this.collection.bulkWrite(
      messages.map(({ _id, from, to }) => ({
        updateOne: {
          filter: { _id },
          update: {
            $set: { ...emptied, expireAt, deletedFor: to === undefined ? [from] : [from, to] },
            $unset: { fileName: '' as const, nickname: '' as const, stanza: '' as const },
          },
        },
      })),
      { session, ordered: false },
    )
  }

  /** Hides a whole single chat from one side. */
  async hideConversation(conversation: string, userId: number): Promise<void> {
    await this.collection.updateMany(
      { conversation, deletedFor: { $ne: userId } },
      { $addToSet: { deletedFor: userId } },
    )
  }
}

const emptied = { body: '', content: '', searchable: false, gone: true as const }

const isBelow = (message: HistoryPosition, { timeSend, ts, _id }: HistoryPosition) =>
  message.timeSend < timeSend ||
  (message.timeSend === timeSend &&
    (message.ts < ts || (message.ts === ts && message._id.toHexString() < _id.toHexString())))

const below = ({ timeSend, ts, _id }: HistoryPosition): Filter<MessageDocument>[] => [
  { timeSend: { $lt: timeSend } },
  { timeSend, ts: { $lt: ts } },
  { timeSend, ts, _id: { $lt: _id } },
]
