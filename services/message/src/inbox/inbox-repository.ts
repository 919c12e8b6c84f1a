import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'
import type { MessageDocument } from '../archive/messages-repository.ts'

/**
 * The newest message of a single chat. One row stands in the lists of both sides, so that a message costs one write. When
 * one side does not see that message any more, each side has a row of its own until the next message comes.
 */
export interface InboxRow {
  /** The conversation; for a row of one side alone `<conversation>:<owner>`. */
  _id: string
  /** In whose lists it stands. */
  owners: number[]
  conversation: string
  messageId: string
  from: number
  to: number
  type: number
  content: string
  isEncrypt: boolean
  timeSend: number
  ts: number
  fromUserName: string
  toUserName: string
  expireAt?: Date
}

/** Where a message stands among those of its chat. */
type Place = Pick<MessageDocument, 'timeSend' | 'ts'>

export const isNewer = (a: Place, b: Place) => a.timeSend > b.timeSend || (a.timeSend === b.timeSend && a.ts >= b.ts)

export const isCommon = ({ owners }: InboxRow) => owners.length > 1

const text = (value: unknown) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '')

/** The row that shows a message of a single chat to its two sides, or to one of them. */
export function inboxRow(message: MessageDocument, only?: number): InboxRow {
  const to = message.to ?? 0
  const names = JSON.parse(message.body) as { fromUserName?: unknown; toUserName?: unknown }
  return {
    _id: only === undefined ? message.conversation : ownRowId(message.conversation, only),
    owners: only === undefined ? [message.from, to] : [only],
    conversation: message.conversation,
    messageId: message.messageId,
    from: message.from,
    to,
    type: message.contentType,
    content: message.content,
    isEncrypt: message.isEncrypt,
    timeSend: message.timeSend,
    ts: message.ts,
    fromUserName: text(names.fromUserName),
    toUserName: text(names.toUserName),
    ...(message.expireAt ? { expireAt: message.expireAt } : {}),
  }
}

const ownRowId = (conversation: string, owner: number) => `${conversation}:${owner}`

/** Ids of all rows a chat can have: the common one, and one for each side (`u:<low>:<high>` names them). */
const rowIds = (conversation: string) => [
  conversation,
  ...conversation
    .split(':')
    .slice(1)
    .map((side) => `${conversation}:${side}`),
]

export class InboxRepository {
  readonly collection: Collection<InboxRow>

  constructor(db: Db) {
    this.collection = db.collection<InboxRow>('inbox')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { owners: 1, timeSend: -1 } }, { key: { expireAt: 1 }, sparse: true }])
  }

  /** All rows of these chats. */
  async ofChats(conversations: readonly string[], session?: ClientSession): Promise<InboxRow[]> {
    if (!conversations.length) return []
    return await this.collection.find({ _id: { $in: conversations.flatMap(rowIds) } }, { session }).toArray()
  }

  /** Puts common rows in the place of what these chats showed. Rows of one side alone may stay behind: `list` knows. */
  async showToBoth(messages: readonly MessageDocument[], session: ClientSession): Promise<void> {
    if (!messages.length) return
    await this.collection.bulkWrite(
      messages.map((message) => ({
        replaceOne: { filter: { _id: message.conversation }, replacement: inboxRow(message), upsert: true },
      })),
      { session, ordered: false },
    )
  }

  /** Sets all rows of these chats to what they are now. */
  async replace(conversations: readonly string[], rows: InboxRow[], session: ClientSession): Promise<void> {
    if (!conversations.length) return
    await this.collection.deleteMany({ _id: { $in: conversations.flatMap(rowIds) } }, { session })
    if (rows.length) await this.collection.insertMany(rows, { session })
  }

  /**
   * Up to `limit` rows of one owner, newest first, from a time (seconds) on. A common row may have come after an own row of
   * the same chat: the newer one counts.
   */
  async list(owner: number, from: number | undefined, limit: number): Promise<InboxRow[]> {
    return await this.collection
      .find({ owners: owner, ...(from === undefined ? {} : { timeSend: { $gte: from } }) })
      .sort({ timeSend: -1 })
      .limit(limit)
      .toArray()
  }

  /** When about the newest message of a chat was sent, in seconds; undefined when neither side sees one. */
  async newestTime(conversation: string): Promise<number | undefined> {
    const rows = await this.collection
      .find({ _id: { $in: rowIds(conversation) } })
      .project<{ timeSend: number }>({ _id: 0, timeSend: 1 })
      .toArray()
    return rows.length ? Math.max(...rows.map(({ timeSend }) => timeSend)) : undefined
  }

  /** Chats that show a message which has expired. */
  async expired(now: number, limit: number): Promise<string[]> {
    const rows = await this.collection
      .find({ expireAt: { $lte: new Date(now) } })
      .project<{ conversation: string }>({ _id: 0, conversation: 1 })
      .limit(limit)
      .toArray()
    return [...new Set(rows.map(({ conversation }) => conversation))]
  }

  async chatsOf(owner: number): Promise<string[]> {
    const rows = await this.collection
      .find({ owners: owner })
      .project<{ conversation: string }>({ _id: 0, conversation: 1 })
      .toArray()
    return [...new Set(rows.map(({ conversation }) => conversation))]
  }
}
