import { type Change, changeMany, ensureIndexes, indexedAnd } from '@im/service-kit'
import type { AnyBulkWriteOperation, ClientSession, Collection, Db, Filter } from 'mongodb'
import { singleConversation, usersOf } from '../messages/conversations.ts'
import type { StanzaText } from '../stanzas/stanza-text.ts'

/** A message that a user is owed and no stream of theirs has confirmed. */
export interface MailboxRow {
  /** See `rowId`. */
  _id: string
  user: number
  /** Its place: arrival in ms, then the number in its log. */
  at: number
  seq: number
  /** Id of the stanza, for streams that confirm by id. */
  id?: string
  text: StanzaText
  /** Of the text. */
  bytes: number
  expireAt: Date
  /** Devices (resources) that were there when the message came and have not confirmed it. */
  owes: string[]
  /** Some device has it: from now on it waits for those it is owed alone, not for whichever comes first. */
  isTaken?: true
  /** Written after its message was stored: a recall may have come before it. */
  late?: SingleMessage
}

/** Names a message of a single chat. */
export interface SingleMessage {
  conversation: string
  from: number
  messageId: string
}

/** A message that waits for its user, and where. */
export interface UnconfirmedMessage extends SingleMessage {
  rowId: string
  user: number
  /** When it came (ms). */
  at: number
}

/** Where a row stands among those of its user. */
export type Place = Pick<MailboxRow, 'at' | 'seq'>

/** The same when two logs gave the same place. */
export type RowPlace = Place & Pick<MailboxRow, '_id'>

/** Not behind it: a row that stands in the same place may be another one. */
export const isBefore = (a: Place, b: Place): boolean => a.at < b.at || (a.at === b.at && a.seq <= b.seq)

/** A row and how large it is. */
export type WaitingRow = RowPlace & Pick<MailboxRow, 'bytes'>

/** How long (ms) most rows wait. */
export const month = 30 * 86_400_000

/** One row for a user and message, however often the message is sent or told again. */
export const rowId = (user: number, from: number, messageId: string) => `${user}:${from}:${messageId}`

/** The row in which a message of a single chat may wait; rooms have no mailboxes. */
export function rowIdOf({ conversation, from, messageId }: SingleMessage): string | undefined {
  const receiver = usersOf(conversation)?.find((user) => user !== from)
  return receiver === undefined ? undefined : rowId(receiver, from, messageId)
}

/** The message of a row. */
function messageOfRow(id: string): SingleMessage | undefined {
  const [, user, from, messageId] = /^(\d+):(\d+):(.*)$/s.exec(id) ?? []
  if (messageId === undefined) return undefined
  return { conversation: singleConversation(Number(user), Number(from)), from: Number(from), messageId }
}

export type RowChange =
  /** When it is there already, the devices it is owed come on top. */
  | { kind: 'put'; row: MailboxRow }
  /** Devices have confirmed it; `owes` are others known here that have not. It goes when it is owed nobody any more. */
  | { kind: 'took'; id: string; user: number; bytes: number; resources: string[]; owes: string[] }
  | { kind: 'remove'; id: string; user: number; bytes: number }

export class MailboxRepository {
  readonly collection: Collection<MailboxRow>
  readonly #now: () => number

  constructor(db: Db, now: () => number) {
    this.collection = db.collection<MailboxRow>('mailbox')
    this.#now = now
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [
      { key: { user: 1, at: 1, seq: 1, _id: 1 } },
      { key: { expireAt: 1 }, expireAfterSeconds: 0 },
    ])
  }

  /**
   * Part of the transaction that stores the messages; a row that is there already stays as it is. Nearly all are new, and an
   * upsert takes four times as long as an insertion.
   */
  async add(rows: readonly MailboxRow[], { session, later }: Pick<Change, 'session' | 'later'>): Promise<void> {
    if (!rows.length) return
    const ids = rows.map(({ _id }) => _id)
    const known = await this.collection
      .find({ _id: { $in: ids } }, { session, batchSize: rows.length + 1 })
      .project<Pick<MailboxRow, '_id'>>({ _id: 1 })
      .toArray()
    const there = new Set(known.map(({ _id }) => _id))
    for (const row of rows) {
      later(this.collection, there.has(row._id) ? insertion(row) : { insertOne: { document: row } })
      there.add(row._id)
    }
  }

  /** Changes in this order. */
  async apply(changes: readonly RowChange[]): Promise<void> {
    if (!changes.length) return
    await changeMany(this.collection, commandsOf(changes), { ordered: true })
  }

  /** Which rows for a resource are the oldest behind a place. */
  async waiting(user: number, resource: string, after: RowPlace | undefined, limit: number): Promise<WaitingRow[]> {
    const waits: Filter<MailboxRow> = {
      expireAt: { $gt: new Date(this.#now()) },
      $and: [
        { $or: [{ isTaken: { $exists: false } }, { owes: resource }] },
        ...(after ? [{ $or: behind(after) }] : []),
      ],
    }
    return await this.collection
      .find(indexedAnd({ user, ...(after ? { at: { $gte: after.at } } : {}) }, waits))
      .project<WaitingRow>({ at: 1, seq: 1, bytes: 1 })
      .sort({ at: 1, seq: 1, _id: 1 })
      .limit(limit)
      .toArray()
  }

  /** Rows by their ids, as far as they still wait for a resource. */
  async read(ids: readonly string[], resource: string): Promise<Map<string, MailboxRow>> {
    if (!ids.length) return new Map()
    const found = await this.collection.find({ _id: { $in: [...ids] } }, { batchSize: ids.length + 1 }).toArray()
    const now = this.#now()
    const waits = ({ expireAt, isTaken, owes }: MailboxRow) =>
      expireAt.getTime() > now && (!isTaken || owes.includes(resource))
    return new Map(found.filter(waits).map((row) => [row._id, row]))
  }

  /** Messages that still wait, came later than `since` (ms), and that no device of their users has confirmed, the newest first. */
  async unconfirmed(users: readonly number[], since: number, limit: number): Promise<UnconfirmedMessage[]> {
    const waits = { isTaken: { $exists: false }, expireAt: { $gt: new Date(this.#now()) } } as const
    const rows = await this.collection
      .find(indexedAnd({ user: { $in: [...users] }, at: { $gt: since } }, waits))
      .project<Pick<MailboxRow, '_id' | 'user' | 'at'>>({ user: 1, at: 1 })
      .sort({ at: -1 })
      .limit(limit)
      .toArray()
    return rows.flatMap(({ _id, user, at }) => {
      const message = messageOfRow(_id)
      return message ? [{ ...message, rowId: _id, user, at }] : []
    })
  }

  /** What these rows hold. */
  async textsOf(ids: readonly string[]): Promise<Map<string, StanzaText>> {
    if (!ids.length) return new Map()
    const rows = await this.collection
      .find({ _id: { $in: [...ids] } }, { batchSize: ids.length + 1 })
      .project<Pick<MailboxRow, '_id' | 'text'>>({ text: 1 })
      .toArray()
    return new Map(rows.map(({ _id, text }) => [_id, text]))
  }

  /** How many rows and bytes wait for each of these users. */
  async usage(users: readonly number[]): Promise<Map<number, { rows: number; bytes: number }>> {
    if (!users.length) return new Map()
    const found = await this.collection
      .aggregate<{ _id: number; rows: number; bytes: number }>([
        { $match: { user: { $in: [...users] } } },
        { $group: { _id: '$user', rows: { $sum: 1 }, bytes: { $sum: '$bytes' } } },
      ])
      .toArray()
    return new Map(found.map(({ _id, rows, bytes }) => [_id, { rows, bytes }]))
  }

  /** Messages that nobody is to read any more. Part of the transaction that takes them away. */
  async forget(messages: readonly SingleMessage[], session?: ClientSession): Promise<void> {
    const ids = messages.flatMap((message) => rowIdOf(message) ?? [])
    if (ids.length) await this.collection.deleteMany({ _id: { $in: ids } }, { session })
  }

  /** Those of the users in whose mailboxes rows were put in the last `since` ms, as far as these wait for a month. */
  async usersOfLast(since: number, users: readonly number[]): Promise<Set<number>> {
    const recent = { expireAt: { $gt: new Date(this.#now() + month - since) } }
    // Not by the index of what expires, which holds what was put for everybody.
    return new Set(await this.collection.distinct('user', indexedAnd({ user: { $in: [...users] } }, recent)))
  }
}

const behind = ({ at, seq, _id }: RowPlace) => [
  { at: { $gt: at } },
  { at, seq: { $gt: seq } },
  { at, seq, _id: { $gt: _id } },
]

/**
 * Replicas that serve devices of one user change one row: each adds and takes away what it knows, none writes it whole. What
 * the same kind of device has confirmed in a row of changes takes two commands, not two for each.
 */
function commandsOf(changes: readonly RowChange[]): AnyBulkWriteOperation<MailboxRow>[] {
  const commands: AnyBulkWriteOperation<MailboxRow>[] = []
  let taken: { ids: string[]; resources: string[] } | undefined
  const endTaken = () => {
    if (taken) commands.push(...taking(taken.ids, taken.resources))
    taken = undefined
  }
  for (const change of changes) {
    if (change.kind !== 'took') {
      endTaken()
      commands.push(change.kind === 'put' ? insertion(change.row) : { deleteOne: { filter: { _id: change.id } } })
      continue
    }
    const { id, resources, owes } = change
    if (owes.length || taken?.resources.join() !== resources.join()) endTaken()
    if (owes.length)
      commands.push({ updateOne: { filter: { _id: id }, update: { $addToSet: { owes: { $each: owes } } } } })
    taken ??= { ids: [], resources }
    taken.ids.push(id)
  }
  endTaken()
  return commands
}

/** Rows these devices have: those that are owed nobody else go, the others are for whom they are owed alone. */
const taking = (ids: string[], resources: string[]): AnyBulkWriteOperation<MailboxRow>[] => [
  { deleteMany: { filter: { _id: { $in: ids }, owes: { $not: { $elemMatch: { $nin: resources } } } } } },
  { updateMany: { filter: { _id: { $in: ids } }, update: { $set: { isTaken: true }, $pullAll: { owes: resources } } } },
]

const insertion = ({ _id, owes, isTaken, ...row }: MailboxRow): AnyBulkWriteOperation<MailboxRow> => ({
  updateOne: {
    filter: { _id },
    update: {
      $setOnInsert: row,
      $addToSet: { owes: { $each: owes } },
      ...(isTaken ? { $set: { isTaken } } : {}),
    },
    upsert: true,
  },
})
