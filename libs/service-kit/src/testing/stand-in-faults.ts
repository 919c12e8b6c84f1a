import { setTimeout as delay } from 'node:timers/promises'
import { type Collection, type Db, MongoClientBulkWriteError, MongoServerError } from 'mongodb'

/** A fault of the server that stands in for MongoDB, which the code makes up for. */
export interface StandInFault {
  name: string
  /** What can go when the fault is gone. */
  workaround: string
  /** Uses collections of its own. */
  isThere(db: Db): Promise<boolean>
}

const rangeBeforeLimit: StandInFault = {
  name: 'reads the whole range before the limit of a query',
  workaround: 'findNewest in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const rows = db.collection('fault_range')
    await rows.createIndex({ chat: 1, at: -1 })
    const text = 'x'.repeat(200)
    await rows.insertMany(Array.from({ length: 10_000 }, (_, at) => ({ chat: 'a', at, text })))
    const find = (filter: object) =>
      quickest(() => rows.find({ chat: 'a', ...filter }, { sort: { at: -1 }, limit: 10 }).toArray())
    // The plan looks right, so only the time tells.
    return (await find({})) > 3 * (await find({ at: { $gte: 9990 } }))
  },
}

const onlyWhatIsIndexed: StandInFault = {
  name: 'bounds an index by equalities and one range only when nothing else is asked for',
  workaround: 'indexedAnd in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const rows = db.collection('fault_also')
    await rows.createIndex({ chat: 1, at: 1 })
    await rows.insertMany(Array.from({ length: 10_000 }, (_, at) => ({ chat: 'a', at, kind: 1 })))
    const few = { chat: 'a', at: { $gte: 9990 } }
    const beside = await quickest(() => rows.find({ ...few, kind: 1 }).toArray())
    return beside > 3 * (await quickest(() => rows.find({ $and: [few, { $or: [{ kind: 1 }] }] }).toArray()))
  },
}

const wholeHintedIndex: StandInFault = {
  name: 'reads the whole of an index that a query names',
  workaround: 'hintFor in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const rows = db.collection('fault_hint')
    await rows.createIndex({ name: 1, by: 1 })
    await rows.insertMany(Array.from({ length: 10_000 }, (_, name) => ({ name, by: name % 10 })))
    const filter = { name: { $in: [1, 2] }, by: { $in: [1, 2] } }
    const hinted = await quickest(() => rows.find(filter, { hint: { name: 1, by: 1 } }).toArray())
    return hinted > 3 * (await quickest(() => rows.find(filter).toArray()))
  },
}

async function quickest(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < 5; n++) {
    const startedAt = performance.now()
    await run()
    times.push(performance.now() - startedAt)
  }
  return Math.min(...times)
}

const oldUniqueValues: StandInFault = {
  name: 'keeps the old value in a unique index when an update changes it',
  workaround: 'unique names are ids of documents of their own, not fields under a unique index',
  async isThere(db) {
    const people = db.collection<{ _id: number; name: string }>('fault_unique')
    await people.createIndex({ name: 1 }, { unique: true })
    await people.insertOne({ _id: 1, name: 'a' })
    await people.updateOne({ _id: 1 }, { $set: { name: 'b' } })
    return await people.insertOne({ _id: 2, name: 'a' }).then(
      () => false,
      (error) => error instanceof MongoServerError && error.code === 11_000,
    )
  },
}

const uniqueAcrossTransactions: StandInFault = {
  name: 'lets two open transactions update documents to the same value of a unique index',
  workaround: oldUniqueValues.workaround,
  async isThere(db) {
    const people = db.collection<{ _id: number; name: string }>('fault_transactions')
    await people.createIndex({ name: 1 }, { unique: true })
    await people.insertMany([1, 2].map((_id) => ({ _id, name: String(_id) })))
    const sessions = [db.client.startSession(), db.client.startSession()]
    try {
      for (const session of sessions) session.startTransaction()
      for (const [n, session] of sessions.entries())
        await people.updateOne({ _id: n + 1 }, { $set: { name: 'same' } }, { session })
      return true
    } catch {
      return false
    } finally {
      for (const session of sessions) {
        await session.abortTransaction()
        await session.endSession()
      }
    }
  },
}

const lockedWhileWaiting: StandInFault = {
  name: 'lets nobody write to a collection while an updateMany waits for a transaction',
  workaround: 'changeMany in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const rows = db.collection<{ _id: number; n: number }>('fault_waiting')
    await rows.insertMany([1, 2].map((_id) => ({ _id, n: 0 })))
    const session = db.client.startSession()
    try {
      session.startTransaction()
      await rows.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session })
      const waiting = rows.updateMany({ n: 0 }, { $inc: { n: 1 } })
      await delay(200)
      const other = rows.updateOne({ _id: 2 }, { $inc: { n: 1 } }).then(() => false)
      const isLocked = await Promise.race([other, delay(1000, true)])
      await session.abortTransaction()
      await Promise.all([waiting, other])
      return isLocked
    } finally {
      await session.endSession()
    }
  },
}

const beginsWithoutBulkWrite: StandInFault = {
  name: 'begins no transaction by a write to several collections',
  workaround: 'beginByQuery in libs/service-kit/src/stand-in.ts',
  async isThere({ client, databaseName }) {
    const session = client.startSession()
    try {
      session.startTransaction({ readConcern: { level: 'majority' } })
      const document = { n: 1 }
      await client.bulkWrite([{ namespace: `${databaseName}.fault_begins`, name: 'insertOne', document }], { session })
      return false
    } catch (error) {
      if (error instanceof MongoServerError) return true
      throw error
    } finally {
      await session.abortTransaction()
      await session.endSession()
    }
  },
}

const conflictOfOneWrite: StandInFault = {
  name: 'tells a conflict of a write to several collections as the error of that write, without a label',
  workaround: 'labelsOfWrite in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const rows = db.collection<{ _id: number; n: number }>('fault_conflict')
    await rows.insertOne({ _id: 1, n: 0 })
    const [one, two] = [db.client.startSession(), db.client.startSession()]
    try {
      for (const session of [one, two]) session.startTransaction()
      await rows.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session: one })
      await rows.findOne({ _id: 1 }, { session: two })
      const write = { filter: { _id: 1 }, update: { $inc: { n: 1 } } }
      const model = { namespace: rows.namespace, name: 'updateOne', ...write } as const
      await db.client.bulkWrite<Record<string, { _id: number; n: number }>>([model], { session: two })
      return false
    } catch (error) {
      return error instanceof MongoClientBulkWriteError && error.writeErrors.size > 0
    } finally {
      for (const session of [one, two]) {
        await session.abortTransaction()
        await session.endSession()
      }
    }
  },
}

const slowInsertions: StandInFault = {
  name: 'takes longer for many insertions when they go with writes to other collections',
  workaround: 'inCommands in libs/service-kit/src/stand-in.ts',
  async isThere(db) {
    const [rows, others] = ['fault_insertions', 'fault_other'].map((name) => db.collection<{ n: number }>(name))
    await rows!.createIndex({ n: 1 })
    await others!.insertOne({ n: 0 })
    const documents = () => Array.from({ length: 1000 }, (_, n) => ({ n }))
    const model = (document: { n: number }, { namespace }: Collection<{ n: number }>) =>
      ({ namespace, name: 'insertOne', document }) as const
    const apart = await quickest(() => rows!.insertMany(documents()))
    const together = await quickest(() =>
      db.client.bulkWrite<Record<string, { n: number }>>([
        ...documents().map((document) => model(document, rows!)),
        model({ n: 0 }, others!),
      ]),
    )
    return together > 1.3 * apart
  },
}

export const standInFaults: readonly StandInFault[] = [
  rangeBeforeLimit,
  onlyWhatIsIndexed,
  wholeHintedIndex,
  oldUniqueValues,
  uniqueAcrossTransactions,
  lockedWhileWaiting,
  beginsWithoutBulkWrite,
  conflictOfOneWrite,
  slowInsertions,
]
