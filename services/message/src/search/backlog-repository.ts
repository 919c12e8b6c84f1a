import { type ClientSession, type Collection, type Db, ObjectId } from 'mongodb'
import type { MessageDocument } from '../archive/message-document.ts'
import { packRow, RowReader, writeVarint } from './packed-rows.ts'
import { searchedTexts } from './searched-texts.ts'

/** A message that was removed for everybody. */
export interface RemovedRow {
  id: ObjectId
  conversation: string
  timeSend: number
}

/**
 * What the index has yet to take in: a part of an archived batch, or a note of removed messages. Written in the transaction
 * that stores or removes the messages, so nothing can be missed, however late it commits.
 */
export interface Waiting {
  /** The smallest id of its messages: the oldest comes first. */
  _id: ObjectId
  count: number
  /** Packed rows by conversation, see `rowsByConversation`. Empty in a note. */
  rows: Buffer
  removed?: RemovedRow[]
}

/** Bytes of rows in one document; a batch with more becomes several. */
const documentBytes = 2 ** 20

type Searched = Pick<
  MessageDocument,
  | '_id'
  | 'conversation'
  | 'searchable'
  | 'from'
  | 'contentType'
  | 'timeSend'
  | 'ts'
  | 'expireAt'
  | 'content'
  | 'fileName'
>

export class SearchBacklog {
  readonly collection: Collection<Waiting>

  constructor(db: Db) {
    this.collection = db.collection<Waiting>('searchBacklog', { promoteBuffers: true })
  }

  /** Part of the archive's transaction. */
  async add(messages: readonly Searched[], session: ClientSession): Promise<void> {
    const waiting = waitingOf(messages)
    if (waiting.length) await this.collection.insertMany(waiting, { session })
  }

  /** Part of the transaction that removes messages; of some of them the other side may still see its copy. */
  async addRemoved(
    messages: readonly Pick<MessageDocument, '_id' | 'conversation' | 'timeSend' | 'searchable'>[],
    session: ClientSession,
  ): Promise<void> {
    const removed = messages
      .filter(({ searchable }) => searchable)
      .map(({ _id, conversation, timeSend }) => ({ id: _id, conversation, timeSend }))
    if (!removed.length) return
    await this.collection.insertOne({ _id: new ObjectId(), count: 0, rows: Buffer.alloc(0), removed }, { session })
  }

  /** Oldest first. */
  find(session?: ClientSession) {
    return this.collection.find({}, { session, batchSize: 100 }).sort({ _id: 1 })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }

  /** When the oldest waiting message was stored, in ms; undefined when none waits. */
  async waitingSince(): Promise<number | undefined> {
    const oldest = await this.collection.findOne({}, { sort: { _id: 1 }, projection: { _id: 1 } })
    return oldest?._id.getTimestamp().getTime()
  }
}

function waitingOf(messages: readonly Searched[]): Waiting[] {
  const made: Waiting[] = []
  let part: { message: Searched; row: Buffer }[] = []
  let bytes = 0
  for (const message of messages) {
    if (!message.searchable) continue
    const { _id: id, from, contentType, timeSend, ts, expireAt } = message
    const row = packRow({ id, from, contentType, timeSend, ts, expireAt, texts: searchedTexts(message) })
    part.push({ message, row })
    bytes += row.length
    if (bytes >= documentBytes) close()
  }
  close()
  return made

  function close() {
    if (!part.length) return
    const groups = Map.groupBy(part, ({ message }) => message.conversation)
    const rows = Buffer.concat(
      [...groups].flatMap(([conversation, group]) =>
        packGroup(
          conversation,
          group.map(({ row }) => row),
        ),
      ),
    )
    const ids = part.map(({ message }) => message._id)
    const _id = ids.reduce((oldest, id) => (id.toHexString() < oldest.toHexString() ? id : oldest))
    made.push({ _id, count: part.length, rows })
    part = []
    bytes = 0
  }
}

/** The conversation and the rows, each with its length before it. */
function packGroup(conversation: string, rows: Buffer[]): Buffer[] {
  const name = Buffer.from(conversation, 'utf8')
  const length = rows.reduce((sum, row) => sum + row.length, 0)
  return [packLength(name.length), name, packLength(length), ...rows]
}

function packLength(length: number): Buffer {
  const bytes = Buffer.alloc(8)
  return bytes.subarray(0, writeVarint(bytes, length, 0))
}

/** The packed rows of each conversation in a document; rows that are not wanted cost nothing. */
export function* rowsByConversation({
  rows,
}: Pick<Waiting, 'rows'>): Generator<{ conversation: string; rows: Buffer }> {
  const reader = new RowReader(rows)
  while (reader.end < rows.length) {
    const nameEnd = reader.readVarint() + reader.end
    const conversation = rows.toString('utf8', reader.end, nameEnd)
    reader.end = nameEnd
    const end = reader.readVarint() + reader.end
    yield { conversation, rows: rows.subarray(reader.end, end) }
    reader.end = end
  }
}
