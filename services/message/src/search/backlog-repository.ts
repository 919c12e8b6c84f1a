import type { Change } from '@im/service-kit'
import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'
import type { MessageDocument } from '../messages/message-document.ts'
import { packRow } from './packed-rows.ts'
import { packGroups } from './row-groups.ts'
import { searchedTexts } from './searched-texts.ts'

/**
 * A part of an archived batch that the index has yet to take in. Written in the transaction that stores the messages, so nothing
 * can be missed, however late it commits.
 */
export interface WaitingBatch {
  /** The smallest id of its messages: the oldest comes first. */
  _id: ObjectId
  count: number
  /** Packed rows by conversation, see row-groups.ts. */
  rows: Buffer
  /** The indexer could not take it in. It stays for the searches, which read all that waits. */
  failed?: true
}

/** Bytes and messages of one document; a batch with more becomes several. */
const documentBytes = 2 ** 19
const documentMessages = 250

export type SearchedMessage = Pick<
  MessageDocument,
  | ('_id' | 'conversation' | 'searchable' | 'from' | 'to' | 'contentType')
  | ('timeSend' | 'ts' | 'expireAt' | 'content' | 'fileName')
>

export class SearchBacklog {
  readonly collection: Collection<WaitingBatch>

  constructor(db: Db) {
    this.collection = db.collection<WaitingBatch>('searchBacklog', { promoteBuffers: true })
  }

  /** Part of the archive's transaction. */
  add(messages: readonly SearchedMessage[], { later }: Pick<Change, 'later'>): void {
    for (const document of waitingOf(messages)) later(this.collection, { insertOne: { document } })
  }

  /** Oldest first. */
  find(session?: ClientSession, batchSize = 100) {
    return this.collection.find({}, { session, batchSize }).sort({ _id: 1 })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }

  async setAside(id: ObjectId): Promise<void> {
    await this.collection.updateOne({ _id: id }, { $set: { failed: true } })
  }

  /** The batch the indexer takes next. */
  async oldestGood(): Promise<ObjectId | undefined> {
    const found = await this.collection.findOne(
      { failed: { $exists: false } },
      { sort: { _id: 1 }, projection: { _id: 1 } },
    )
    return found?._id
  }

  /** The smallest id of a message that waits. */
  async oldest(session?: ClientSession): Promise<ObjectId | undefined> {
    const found = await this.collection.findOne({}, { session, sort: { _id: 1 }, projection: { _id: 1 } })
    return found?._id
  }
}

/** What `add` writes. */
export function waitingOf(messages: readonly SearchedMessage[]): WaitingBatch[] {
  const made: WaitingBatch[] = []
  let part: { message: SearchedMessage; row: Buffer }[] = []
  let bytes = 0
  for (const message of messages) {
    if (!message.searchable) continue
    const { _id: id, from, to = 0, contentType, timeSend, ts, expireAt } = message
    const row = packRow({ id, from, to, contentType, timeSend, ts, expireAt, texts: searchedTexts(message) })
    part.push({ message, row })
    bytes += row.length
    if (bytes >= documentBytes || part.length >= documentMessages) close()
  }
  close()
  return made

  function close() {
    if (!part.length) return
    const groups = Map.groupBy(part, ({ message }) => message.conversation)
    const rows = packGroups(new Map([...groups].map(([name, group]) => [name, group.map(({ row }) => row)])))
    const ids = part.map(({ message }) => message._id)
    const _id = ids.reduce((oldest, id) => (id.toHexString() < oldest.toHexString() ? id : oldest))
    made.push({ _id, count: part.length, rows })
    part = []
    bytes = 0
  }
}
