/**
 * Code that is only needed for the server that stands in for MongoDB where no mongod can be had (decision 004). On MongoDB each
 * function runs the plain query. `standInFaults` says what can go when a fault is gone.
 */

import { LRUCache } from 'lru-cache'
import {
  type AnyBulkWriteOperation,
  type AnyClientBulkWriteModel,
  type BulkWriteOptions,
  type ClientInsertOneModel,
  type ClientSession,
  type Collection,
  type Db,
  type Document,
  type Filter,
  type Hint,
  type IndexSpecification,
  type MongoClient,
  MongoErrorLabel,
  type Sort,
  type WithId,
} from 'mongodb'
import { inTransaction } from './transaction.ts'
import { upTo } from './up-to.ts'

const standsIn = new WeakMap<Db['client'], Promise<boolean>>()

/** Whether the server is the stand-in. */
export function isStandIn(db: Db): Promise<boolean> {
  const known = standsIn.get(db.client)
  if (known) return known
  const asked = db.admin().command({ buildInfo: 1 })
  const answer = asked.then((info) => info['secantusVersion'] !== undefined)
  answer.catch(() => standsIn.delete(db.client))
  standsIn.set(db.client, answer)
  return answer
}

/** For tests: what `work` would ask of MongoDB itself, asked of whatever there is. */
export async function asMongoDb<T>({ client }: Pick<Db, 'client'>, work: () => Promise<T>): Promise<T> {
  const known = standsIn.get(client)
  standsIn.set(client, Promise.resolve(false))
  try {
    return await work()
  } finally {
    if (known) standsIn.set(client, known)
    else standsIn.delete(client)
  }
}

/** Lets a transaction begin whose first command would be a write to several collections: the stand-in begins none by that. */
export async function beginByQuery<T extends Document>(
  collection: Collection<T>,
  session: ClientSession,
): Promise<void> {
  if (hasBegun(session) || !(await isStandIn(collection.db))) return
  await collection.findOne({ _id: '' } as unknown as Filter<T>, { session })
}

/** Whether some command of the transaction was sent. The driver knows it and leaves it out of its types. */
const hasBegun = (session: ClientSession) =>
  !(session as unknown as { transaction: { isStarting: boolean } }).transaction.isStarting

/** Codes of a transaction that met another one, or is gone. */
const transient: ReadonlySet<number> = new Set([24, 112, 246, 251])

/**
 * The labels of the error of one of several writes. MongoDB itself fails the whole command when it meets another transaction; the
 * stand-in tells it of the single write, without the label by which it is tried again.
 */
export const labelsOfWrite = (code: number): MongoErrorLabel[] =>
  transient.has(code) ? [MongoErrorLabel.TransientTransactionError] : []

/** A write to some collection; `ifTaken` makes its error when a unique key is taken. */
export interface LaterWrite {
  collection: Collection
  model: AnyClientBulkWriteModel<Document>
  ifTaken?: ((cause: unknown) => Error) | undefined
}

/** So many insertions into one collection are quicker by a command of their own. */
const manyInsertions = 12

/**
 * Writes in the commands that they are sent with. MongoDB takes any of them in one. The stand-in needs twice as long for each insertion
 * among writes to several collections, so where there are many into one they have a command of their own.
 */
export async function inCommands(
  client: MongoClient,
  writes: readonly LaterWrite[],
): Promise<(readonly LaterWrite[])[]> {
  if (!(await isStandIn(client.db()))) return [writes]
  const runs: LaterWrite[][] = []
  for (const write of writes) {
    const run = runs.at(-1)
    if (run && kindOf(run[0]!) === kindOf(write)) run.push(write)
    else runs.push([write])
  }
  const commands: LaterWrite[][] = []
  for (const run of runs) {
    const before = commands.at(-1)
    if (before && !areManyInsertions(before) && !areManyInsertions(run)) before.push(...run)
    else commands.push(run)
  }
  return commands
}

const kindOf = ({ model: { name, namespace } }: LaterWrite) => (name === 'insertOne' ? namespace : '')

/** Whether this command is a mere `insertMany`. */
export function areManyInsertions(
  command: readonly LaterWrite[],
): command is { collection: Collection; model: ClientInsertOneModel<Document> }[] {
  const [kind = ''] = command.map(kindOf)
  return kind !== '' && command.length >= manyInsertions && command.every((write) => kindOf(write) === kind)
}

export interface NewestQuery<T extends Document> {
  /** Fields with one value. An index must begin with them and go on with those of `sort`. */
  equal: Filter<T>
  /** The field of the range, a time: the first of `sort`, which is descending. */
  field: string
  /** Units of the field in a second: 1 by default. */
  perSecond?: number
  /** The range; this end is included. */
  from?: number | undefined
  /** The range; this end is not included. */
  before?: number | undefined
  sort: Sort
  limit: number
  projection?: Document
  session?: ClientSession | undefined
}

/** Lengths (seconds) of the first range where nothing is known, and of the longest that is tried before the whole one. */
const [firstWindow, longestWindow] = [600, 720 * 86_400]
/** How much longer the next range is when one held too few. */
const growth = 10

/** How dense what was found last lies: how far two documents are from each other, by what was asked for. */
const spacings = new WeakMap<Db['client'], LRUCache<string, number>>()

/**
 * Finds the newest documents of a range. MongoDB stops at the limit. The stand-in reads the whole range first, so it is asked
 * for a short range that ends about at the newest document (`near`, in units of the field; only asked for there), then for longer ones.
 */
export async function findNewest<T extends Document>(
  collection: Collection<T>,
  query: NewestQuery<T>,
  near: number | (() => Promise<number>),
): Promise<WithId<T>[]> {
  const { equal, field, perSecond = 1, from, before, sort, limit, projection, session } = query
  const find = (lowest: number | undefined) => {
    const range = {
      ...(lowest === undefined ? {} : { $gte: lowest }),
      ...(before === undefined ? {} : { $lt: before }),
    }
    const filter = Object.keys(range).length ? ({ ...equal, [field]: range } as Filter<T>) : equal
    return collection.find(filter, { sort, limit, session, ...(projection ? { projection } : {}) }).toArray()
  }
  if (await isStandIn(collection.db)) {
    const known = spacingsOf(collection.db.client)
    const key = `${collection.namespace} ${field} ${JSON.stringify(equal)}`
    const spacing = known.get(key)
    const newest = typeof near === 'number' ? near : await near()
    const highest = Math.min(newest, before ?? newest)
    // Twice of what it takes where documents lie as they did.
    const first = spacing === undefined ? firstWindow : Math.max(1, 2 * spacing * limit)
    for (let length = first; length <= longestWindow; length *= growth) {
      const lowest = highest - length * perSecond
      if (lowest <= (from ?? Number.NEGATIVE_INFINITY)) break
      const rows = await find(lowest)
      if (rows.length < limit) continue
      known.set(key, spacingOf(rows.map((row) => Number(row[field]))) / perSecond)
      return rows
    }
  }
  return await find(from)
}

/**
 * The mean distance of times, the latest first, without the longest twentieth of them: one silence of a year says nothing
 * about how dense the talk before it was.
 */
function spacingOf(times: readonly number[]): number {
  const gaps = times.slice(1).map((time, n) => times[n]! - time)
  const usual = gaps.sort((a, b) => a - b).slice(0, gaps.length - Math.ceil(gaps.length / 20))
  return usual.length ? usual.reduce((sum, gap) => sum + gap, 0) / usual.length : 0
}

function spacingsOf(client: Db['client']): LRUCache<string, number> {
  const known = spacings.get(client) ?? new LRUCache<string, number>(upTo(10_000))
  spacings.set(client, known)
  return known
}

export interface FirstQuery<T extends Document> {
  /** Fields with one value, without `field`. */
  filter: Filter<T>
  /** Further conditions. */
  also?: Filter<T>
  /** A whole number, `_id` unless named. An index must hold the equalities of `filter` and then this field. */
  field?: string
  order: 1 | -1
  /** Ids where the search begins and where it can end: `from` is not smaller than `to` when `order` is -1. Both are included. */
  from: number
  to: number
  /** Of what `filter` finds, MongoDB looks at so many for `also`. The stand-in looks at all of a range. */
  most?: number
  /** About the highest id that there is, where the range may go far beyond. Only asked for the stand-in. */
  highest?: () => Promise<number>
  /** How many ids the stand-in is asked for at least: 200 unless given. */
  span?: number
  limit: number
  projection?: Document
  session?: ClientSession
}

const firstSpan = 200
const growthOfNone = 25
/** Short ranges that are tried before the whole one. */
const mostTries = 2

/**
 * Finds the first documents in the order of their ids. MongoDB stops at the limit. The stand-in reads the whole range first, so it is
 * asked for a short one that should hold enough, then for one as long as what was found there lets expect, then for the whole one.
 */
export async function findFirst<T extends Document>(
  collection: Collection<T>,
  query: FirstQuery<T>,
): Promise<WithId<T>[]> {
  const { filter, also = {}, field = '_id', order, from, to, highest, most, limit, projection, session } = query
  const standsIn = await isStandIn(collection.db)
  const options = { limit, ...(projection ? { projection } : {}), ...(session ? { session } : {}) }
  const find = (end: number) => {
    // The end first: of two bounds the stand-in takes only the first where an index holds many values of a document.
    const range = order === 1 ? { $lte: end, $gte: from } : { $gte: end, $lte: from }
    const indexed = { ...filter, [field]: range } as Filter<T>
    if (!standsIn && most !== undefined && Object.keys(also).length)
      return collection
        .aggregate<WithId<T>>(
          [
            { $match: indexed },
            { $sort: { [field]: order } },
            { $limit: most },
            { $match: also },
            { $limit: limit },
            ...(projection ? [{ $project: projection }] : []),
          ],
          { session },
        )
        .toArray()
    const within = standsIn ? indexedAnd(indexed, also) : { ...indexed, ...also }
    return collection.find(within, { sort: { [field]: order }, ...options }).toArray()
  }
  if (standsIn) {
    const known = spacingsOf(collection.db.client)
    const key = `${collection.namespace} ${field} ${JSON.stringify([filter, also])}`
    const top = highest ? await highest() : Number.POSITIVE_INFINITY
    const begin = order === 1 ? from : Math.min(from, top)
    const length = Math.abs(Math.min(to, top) - begin)
    // Twice of what it takes where documents lie as they did.
    let span = Math.max(query.span ?? firstSpan, 2 * limit * (known.get(key) ?? 0))
    for (let tries = 0; tries < mostTries && span < length; tries++) {
      const rows = await find(begin + order * Math.ceil(span))
      if (rows.length === limit) {
        known.set(key, Math.abs(Number(rows.at(-1)?.[field]) - begin) / limit)
        return rows
      }
      // Few say less of how dense all lie.
      span *= rows.length ? (3 * limit) / rows.length : growthOfNone
    }
  }
  return await find(to)
}

/**
 * The same as all these conditions in one: first those that an index serves, equalities and one range, then all others. The stand-in uses
 * no index, or not all of it, when others stand beside them; those in an `$or` of their own it leaves to the end.
 */
export function indexedAnd<T extends Document>(indexed: Filter<T>, also: Filter<T>): Filter<T> {
  return Object.keys(also).length ? ({ $and: [indexed, { $or: [also] }] } as Filter<T>) : indexed
}

/**
 * Changes many documents beside transactions that write to the same collection. The stand-in lets nobody else write to it while
 * an `updateMany` or `deleteMany` waits for a transaction, which then can't go on: both wait for ever. So there it is a transaction, too, which
 * gives way and is tried again.
 */
export async function changeMany<T extends Document>(
  collection: Collection<T>,
  changes: AnyBulkWriteOperation<T>[],
  options: BulkWriteOptions = {},
): Promise<void> {
  if (await isStandIn(collection.db))
    await inTransaction(collection.db.client, (session) => collection.bulkWrite(changes, { ...options, session }))
  else await collection.bulkWrite(changes, options)
}

/**
 * Names the index of a query, where MongoDB might take another. The stand-in reads the whole index that is named, however little of
 * it the query wants, and finds the right one by itself.
 */
export async function hintFor<T extends Document>(
  { db }: Pick<Collection<T>, 'db'>,
  index: IndexSpecification,
): Promise<{ hint?: Hint }> {
  return (await isStandIn(db)) ? {} : { hint: index as Hint }
}
