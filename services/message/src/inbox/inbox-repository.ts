import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db } from 'mongodb'
import type { MessageDocument } from '../archive/messages-repository.ts'

/** The newest message of a single chat, as one side of it sees it: one row per owner and peer. */
export interface InboxRow {
  /** `<owner>:<peer>` */
  _id: string
  owner: number
  peer: number
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

export const inboxId = (owner: number, peer: number) => `${owner}:${peer}`

const text = (value: unknown) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '')

/** The row a message of a single chat makes in the inbox of one of its sides. */
export function inboxRow(message: MessageDocument, owner: number): InboxRow {
  const to = message.to ?? 0
  const peer = message.from === owner ? to : message.from
  const names = JSON.parse(message.body) as { fromUserName?: unknown; toUserName?: unknown }
  return {
    _id: inboxId(owner, peer),
    owner,
    peer,
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

const isNewer = (a: { timeSend: number; ts: number }, b: { timeSend: number; ts: number }) =>
  a.timeSend > b.timeSend || (a.timeSend === b.timeSend && a.ts >= b.ts)

export class Inbox {
  readonly collection: Collection<InboxRow>

  constructor(db: Db) {
    this.collection = db.collection<InboxRow>('inbox')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: { owner: 1, timeSend: -1 } },
      { key: { expireAt: 1, owner: 1 }, sparse: true },
    ])
  }

  /** Puts newer messages in the place of older ones. Rows that show a newer message already stay. */
  async advance(rows: Iterable<InboxRow>, session: ClientSession): Promise<void> {
    const newest = new Map<string, InboxRow>()
    for (const row of rows) {
      const other = newest.get(row._id)
      if (!other || isNewer(row, other)) newest.set(row._id, row)
    }
    if (!newest.size) return
    const present = await this.collection
      .find({ _id: { $in: [...newest.keys()] } }, { session })
      .project<Pick<InboxRow, '_id' | 'timeSend' | 'ts'>>({ timeSend: 1, ts: 1 })
      .toArray()
    for (const shown of present) if (!isNewer(newest.get(shown._id)!, shown)) newest.delete(shown._id)
    await this.replace([...newest.values()], session)
  }

  /**
   * Sets rows to what they are now. Removing and inserting takes two commands for a whole batch, where replacing takes one
   * write each; inside a transaction nobody sees the difference.
   */
  async replace(rows: InboxRow[], session: ClientSession): Promise<void> {
    if (!rows.length) return
    await this.remove(
      rows.map(({ _id }) => _id),
      session,
    )
    await this.collection.insertMany(rows, { session })
  }

  async remove(ids: readonly string[], session?: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }

  async find(ids: readonly string[], session?: ClientSession): Promise<InboxRow[]> {
    return ids.length ? await this.collection.find({ _id: { $in: [...ids] } }, { session }).toArray() : []
  }

  /** Rows of one owner, newest first; times in seconds. */
  async page(
    owner: number,
    range: { from?: number; before?: number; skip: number; limit: number },
  ): Promise<InboxRow[]> {
    const timeSend: { $gte?: number; $lt?: number } = {}
    if (range.from !== undefined) timeSend.$gte = range.from
    if (range.before !== undefined) timeSend.$lt = range.before
    return await this.collection
      .find({ owner, ...(Object.keys(timeSend).length ? { timeSend } : {}) })
      .sort({ timeSend: -1 })
      .skip(range.skip)
      .limit(range.limit)
      .toArray()
  }

  /** Rows whose message has expired. */
  async expired(now: number, limit: number, owner?: number): Promise<InboxRow[]> {
    return await this.collection
      .find({ ...(owner === undefined ? {} : { owner }), expireAt: { $lte: new Date(now) } })
      .limit(limit)
      .toArray()
  }

  async peersOf(owner: number): Promise<number[]> {
    const rows = await this.collection.find({ owner }).project<{ peer: number }>({ _id: 0, peer: 1 }).toArray()
    return rows.map(({ peer }) => peer)
  }
}
