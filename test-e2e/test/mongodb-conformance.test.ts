/**
 * Everything that the repositories of the services rely on, asked of the MongoDB that MONGODB_URL names: an operator runs
 * it against his own before he trusts it with messages. Without MONGODB_URL it starts the server that `npm start` takes.
 *
 *   MONGODB_URL=mongodb://… npm test -- test-e2e/test/mongodb-conformance.test.ts
 *
 * About a minute: a server sweeps expired documents once a minute. The last line tells which server it was.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Servers, startServers, withoutGivenServers } from '@im/dev/servers'
import { connectMongo, ensureIndexes, inTransaction, isStandIn, type MongoConnection } from '@im/service-kit'
import { eventually, standInFaults } from '@im/service-kit/testing'
import {
  type Collection,
  type Db,
  type Document,
  type IndexDescription,
  Long,
  MongoBulkWriteError,
  MongoClient,
  MongoClientBulkWriteError,
  MongoServerError,
  ObjectId,
} from 'mongodb'
import t, { before, type Test, test } from 'tap'

const durable = { w: 'majority', j: true } as const

let servers: Servers
let folder: string
let connection: MongoConnection
let client: MongoClient
let db: Db
/** Written first and looked at last, as the sweep comes once a minute. */
let expiring: Collection
/** Known faults of the stand-in that this server has. */
const faults: string[] = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'im-mongodb-'))
  servers = await startServers({ dataDir: folder, ports: 'free', env: process.env, servers: ['mongodb'] })
  // As the services connect: majority, journal, retryable writes.
  connection = await connectMongo({
    ...{
      url: servers.env['MONGODB_URL'] ?? '',
      namespace: 'im',
      service: `conformance_${randomBytes(4).toString('hex')}`,
    },
  })
  ;({ client, db } = connection)
  expiring = await writeExpiring()
})

// Of a whole file only `teardown` runs while connections are open.
t.teardown(async () => {
  const server = await describeServer().catch(String)
  await db?.dropDatabase()
  await connection?.close()
  await servers?.close()
  if (folder) await rm(folder, { recursive: true, force: true })
  console.log(`This was ${server}`)
})

async function describeServer(): Promise<string> {
  const admin = client.db('admin')
  const [{ version }, hello] = await Promise.all([admin.command({ buildInfo: 1 }), admin.command({ hello: 1 })])
  const kind = hello['setName'] ? `replica set ${hello['setName']}` : (hello['msg'] ?? 'no replica set')
  const name = `MongoDB ${version} (${kind}) at ${client.options.hosts.join()}: ${servers.choices['mongodb']}`
  return `${name}. Faults that the code makes up for: ${faults.join('; ') || 'none'}`
}

async function writeExpiring(): Promise<Collection> {
  const docs = newCollection()
  await ensureIndexes(docs, [{ key: { expireAt: 1 }, expireAfterSeconds: 0, sparse: true }])
  await ensureIndexes(docs, [{ key: { at: 1 }, expireAfterSeconds: 3600 }])
  const [past, future] = [new Date(Date.now() - 1000), new Date(Date.now() + 3600_000)]
  const twoHoursAgo = new Date(Date.now() - 7200_000)
  const rows: [string, Document][] = [
    ['over', { expireAt: past }],
    ['over by its age', { at: twoHoursAgo }],
    ['over since it was changed', { expireAt: future }],
    ['kept', { expireAt: future, at: past }],
    ['unlimited', {}],
  ]
  await docs.insertMany(rows.map(([name, fields]) => ({ _id: name as never, ...fields })))
  await docs.updateOne({ _id: 'over since it was changed' as never }, { $set: { expireAt: past } })
  return docs
}

let collections = 0
/** A new collection: tests don't see each other's documents. */
const newCollection = <T extends Document = Document>(): Collection<T> => {
  collections += 1
  return db.collection<T>(`c${collections}`)
}

/** Refused because of the unique index of these fields. */
async function isDuplicate(t: Test, write: Promise<unknown>, field: string) {
  const error = (await t.rejects(write, MongoServerError)) as MongoServerError
  t.equal(error.code, 11000)
  t.strictSame(Object.keys(error['keyPattern'] ?? {}), field.split(','))
}

/** The stages of the plan that was chosen, inner ones included. */
async function plan(cursor: { explain(): Promise<Document> }): Promise<string[]> {
  const stages: string[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const stage = (node as Document)['stage']
    if (typeof stage === 'string') stages.push(stage)
    for (const [key, child] of Object.entries(node)) if (key !== 'rejectedPlans') visit(child)
  }
  const explained = await cursor.explain()
  visit(explained['queryPlanner'] ?? explained)
  return stages
}

test('known faults of the stand-in: only the stand-in has them', async (t) => {
  for (const { name, isThere } of standInFaults) if (await isThere(db)) faults.push(name)
  t.comment(faults.join('; ') || 'none')
  t.ok(faults.length === 0 || (await isStandIn(db)), 'the code makes up for what it knows')
})

test('transactions', async (t) => {
  t.test('transactions that upsert the same new document count each once', async (t) => {
    const counters = db.collection<{ _id: string; value: number }>(`c${randomBytes(4).toString('hex')}`)
    await db.createCollection(counters.collectionName)
    const taken = await Promise.all(
      Array.from({ length: 20 }, () =>
        inTransaction(client, async (session) => {
          const options = { session, upsert: true, returnDocument: 'after' } as const
          return (await counters.findOneAndUpdate({ _id: 'a' }, { $inc: { value: 1 } }, options))?.value
        }),
      ),
    )
    t.strictSame(
      taken.sort((a, b) => Number(a) - Number(b)),
      Array.from({ length: 20 }, (_, n) => n + 1),
    )
  })

  t.test(
    'an upsert under a condition on a field of the known document is a duplicate, not a second document',
    async (t) => {
      const shards = db.collection<{ _id: string; owner?: string }>(`c${randomBytes(4).toString('hex')}`)
      const take = (owner: string) =>
        shards.updateOne({ _id: 'a', owner: { $exists: false } }, { $set: { owner } }, { upsert: true })
      const outcomes = await Promise.allSettled([take('first'), take('second'), take('third')])
      t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const outcome of outcomes) if (outcome.status === 'rejected') t.equal(outcome.reason.code, 11_000)
      await shards.updateOne({ _id: 'a' }, { $unset: { owner: 1 } })
      t.equal((await take('second')).matchedCount, 1)
    },
  )

  t.test('what a transaction wrote is seen by nobody else before the commit, and by everybody after', async (t) => {
    const docs = newCollection()
    await docs.insertOne({ _id: 'first' as never })
    const session = client.startSession()
    session.startTransaction()
    await docs.insertOne({ _id: 'second' as never }, { session })
    t.equal(await docs.countDocuments({}, { session }), 2)
    t.equal(await docs.countDocuments(), 1)
    await session.commitTransaction()
    t.equal(await docs.countDocuments(), 2)
    await session.endSession()
  })

  t.test('a transaction reads one snapshot, whatever others write meanwhile', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 1 })
    const session = client.startSession()
    session.startTransaction({ readConcern: { level: 'snapshot' } })
    t.equal((await docs.findOne({ _id: 'a' }, { session }))?.n, 1)
    await docs.updateOne({ _id: 'a' }, { $set: { n: 2 } })
    t.equal((await docs.findOne({ _id: 'a' }, { session }))?.n, 1)
    await session.abortTransaction()
    await session.endSession()
  })

  t.test('an aborted transaction leaves nothing, in no collection', async (t) => {
    const [docs, outbox] = [newCollection(), newCollection()]
    await Promise.all([docs.insertOne({ n: 0 }), outbox.insertOne({ n: 0 })])
    const session = client.startSession()
    session.startTransaction()
    await docs.insertOne({ n: 1 }, { session })
    await outbox.insertOne({ n: 1 }, { session })
    await session.abortTransaction()
    await session.endSession()
    t.equal((await docs.countDocuments()) + (await outbox.countDocuments()), 2)
  })

  t.test('of two transactions that write one document, the second fails with TransientTransactionError', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 0 })
    const [one, two] = [client.startSession(), client.startSession()]
    one.startTransaction()
    two.startTransaction()
    await docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: one })
    const second = docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: two })
    const conflict = (await t.rejects(second, MongoServerError)) as MongoServerError
    t.ok(conflict.hasErrorLabel('TransientTransactionError'), String(conflict))
    await two.abortTransaction().catch(() => {})
    await one.commitTransaction()
    await Promise.all([one.endSession(), two.endSession()])
    t.equal((await docs.findOne({ _id: 'a' }))?.n, 1)
  })

  t.test('withTransaction tries again until each of 20 concurrent increments counts', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 0 })
    const increment = () =>
      client.withSession((session) =>
        session.withTransaction(async () => {
          const now = await docs.findOne({ _id: 'a' }, { session })
          await docs.updateOne({ _id: 'a' }, { $set: { n: (now?.n ?? 0) + 1 } }, { session })
        }),
      )
    await Promise.all(Array.from({ length: 20 }, increment))
    t.equal((await docs.findOne({ _id: 'a' }))?.n, 20)
  })

  t.test('a unique index rejects inside a transaction, which then leaves nothing', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'a' })
    const work = client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.insertOne({ key: 'b' }, { session })
        await docs.insertOne({ key: 'a' }, { session })
      }),
    )
    await isDuplicate(t, work, 'key')
    t.equal(await docs.countDocuments(), 1)
  })

  t.test('one command of a transaction writes to several collections, all or nothing, in its order', async (t) => {
    const [docs, others] = [newCollection<{ _id: string; n: number }>(), newCollection<{ _id: string; n: number }>()]
    await docs.insertOne({ _id: 'old', n: 1 })
    const write = (_id: string) =>
      client.withSession((session) =>
        session.withTransaction(async () => {
          await docs.findOne({ _id }, { session })
          const [inDocs, inOthers] = [{ namespace: docs.namespace }, { namespace: others.namespace }]
          await client.bulkWrite<Record<string, { _id: string; n: number }>>(
            [
              { ...inDocs, name: 'deleteMany', filter: { n: 1 } },
              { ...inOthers, name: 'replaceOne', filter: { _id: 'a' }, replacement: { n: 1 }, upsert: true },
              { ...inOthers, name: 'updateOne', filter: { _id: 'a' }, update: { $inc: { n: 1 } } },
              { ...inDocs, name: 'insertOne', document: { _id, n: 2 } },
            ],
            { session },
          )
        }),
      )
    await write('new')
    t.strictSame(await docs.find().toArray(), [{ _id: 'new', n: 2 }])
    t.strictSame(await others.find().toArray(), [{ _id: 'a', n: 2 }])
    await others.updateOne({ _id: 'a' }, { $set: { n: 7 } })
    const refused = (await t.rejects(write('new'), MongoClientBulkWriteError)) as MongoClientBulkWriteError
    t.strictSame(
      [...refused.writeErrors].map(([index, { code }]) => [index, code]),
      [[3, 11000]],
    )
    t.strictSame(await others.find().toArray(), [{ _id: 'a', n: 7 }], 'nothing of it stays')
  })

  t.test('a document is read with those of other collections that belong to it', async (t) => {
    const [docs, others] = [newCollection<{ _id: number }>(), newCollection<{ of: number; n: number }>()]
    await others.createIndex({ of: 1 })
    await docs.insertMany([{ _id: 1 }, { _id: 2 }])
    await others.insertMany([1, 2, 3].map((n) => ({ of: 1, n })))
    const $lookup = { from: others.collectionName, localField: '_id', foreignField: 'of', as: 'others' }
    const found = await client.withSession((session) =>
      session.withTransaction(async () => {
        await others.insertOne({ of: 1, n: 4 }, { session })
        return await docs.aggregate([{ $match: { _id: { $in: [1, 2] } } }, { $lookup }], { session }).toArray()
      }),
    )
    t.strictSame(
      found.map((doc) => doc['others'].map(({ n }: { n: number }) => n)),
      [[1, 2, 3, 4], []],
      'as the transaction sees them',
    )
  })

  t.test('a collection can be made by the first insert of a transaction', async (t) => {
    const docs = newCollection()
    await client.withSession((session) => session.withTransaction(() => docs.insertOne({ n: 1 }, { session })))
    t.equal(await docs.countDocuments(), 1)
  })
})

test('indexes', async (t) => {
  t.test('unique: the error is E11000 and names the index key', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ telephone: 1 }, { unique: true })
    await docs.insertOne({ telephone: '8613800000000' })
    await isDuplicate(t, docs.insertOne({ telephone: '8613800000000' }), 'telephone')
  })

  t.test('unique and compound: only the whole key must differ', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, messageId: 1 }, { unique: true })
    await docs.insertMany([
      { conversation: 'u:1:2', messageId: 'a' },
      { conversation: 'u:1:3', messageId: 'a' },
    ])
    await isDuplicate(t, docs.insertOne({ conversation: 'u:1:2', messageId: 'a' }), 'conversation,messageId')
  })

  t.test('unique and partial: documents outside the filter may repeat the key', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ account: 1 }, { unique: true, partialFilterExpression: { account: { $exists: true } } })
    await docs.insertMany([{ n: 1 }, { n: 2 }, { account: 'alice' }])
    await isDuplicate(t, docs.insertOne({ account: 'alice' }), 'account')
  })

  t.test('creating an index again changes nothing', async (t) => {
    const docs = newCollection()
    const names = await Promise.all([1, 2].map(() => docs.createIndex({ a: 1, b: -1 })))
    t.strictSame(names, ['a_1_b_-1', 'a_1_b_-1'])
    t.equal((await docs.indexes()).length, 2)
  })

  t.test(
    'several at once, sparse and partial ones too; the same again changes nothing, another definition is an error',
    async (t) => {
      const docs = newCollection()
      const wanted: IndexDescription[] = [
        { key: { userId: 1, device: 1 } },
        { key: { expireAt: 1, owner: 1 }, sparse: true },
        { key: { expiresAt: 1 }, expireAfterSeconds: 0 },
        { key: { code: 1 }, unique: true, partialFilterExpression: { code: { $exists: true } } },
      ]
      for (const _time of ['once', 'again']) await ensureIndexes(docs, wanted)
      t.equal((await docs.indexes()).length, 1 + wanted.length)
      await t.rejects(ensureIndexes(docs, [{ key: { expiresAt: 1 }, expireAfterSeconds: 60 }]), MongoServerError)
    },
  )

  t.test(
    '2dsphere: $near gives what is within the distance, nearest first, combined with another condition',
    async (t) => {
      const docs = newCollection()
      await docs.createIndex({ location: '2dsphere', visible: 1 })
      const at = (name: string, longitude: number, latitude: number, visible = true) => ({
        name,
        visible,
        location: { type: 'Point', coordinates: [longitude, latitude] },
      })
      await docs.insertMany([
        at('far', 121.47, 31.23),
        at('next', 114.06, 22.55),
        at('here', 114.05, 22.54),
        at('hidden', 114.05, 22.541, false),
      ])
      const geometry = { type: 'Point' as const, coordinates: [114.05, 22.54] }
      const near = docs.find({ visible: true, location: { $near: { $geometry: geometry, $maxDistance: 50_000 } } })
      t.strictSame(
        (await near.toArray()).map(({ name }) => name),
        ['here', 'next'],
      )
      const rows = await docs
        .aggregate([
          { $geoNear: { near: geometry, distanceField: 'metres', maxDistance: 50_000, query: { visible: true } } },
        ])
        .toArray()
      t.strictSame(
        rows.map(({ name }) => name),
        ['here', 'next'],
      )
      t.ok(rows[1]?.['metres'] > 1000 && rows[1]?.['metres'] < 2000, `${rows[1]?.['metres']} m`)
    },
  )

  t.test('multikey: an element of an array is found by the index', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, tokens: 1 })
    await docs.insertMany([
      { conversation: 'u:1:2', tokens: ['你好', '好吗'] },
      { conversation: 'u:1:2', tokens: ['再见'] },
    ])
    const query = docs.find({ conversation: 'u:1:2', tokens: '好吗' })
    t.ok((await plan(query)).includes('IXSCAN'))
    t.equal((await query.toArray()).length, 1)
    const both = docs.find({ conversation: 'u:1:2', tokens: { $all: ['你好', '好吗'] } })
    t.equal((await both.toArray()).length, 1)
  })

  t.test('a query with sort runs on the compound index: IXSCAN and no sort stage', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, sentAt: -1 })
    await docs.insertMany(Array.from({ length: 100 }, (_, n) => ({ conversation: `u:1:${n % 5}`, sentAt: n })))
    const page = docs
      .find({ conversation: 'u:1:3', sentAt: { $lt: 90 } })
      .sort({ sentAt: -1 })
      .limit(5)
    const stages = await plan(page)
    t.ok(stages.includes('IXSCAN') && !stages.includes('SORT') && !stages.includes('COLLSCAN'), stages.join())
    t.strictSame(
      (await page.toArray()).map(({ sentAt }) => sentAt),
      [88, 83, 78, 73, 68],
    )
  })

  t.test('$in with a sort on the index gives the right order', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, sentAt: -1 })
    await docs.insertMany(Array.from({ length: 60 }, (_, n) => ({ conversation: `r:${n % 6}`, sentAt: n })))
    const rows = docs
      .find({ conversation: { $in: ['r:0', 'r:2', 'r:5'] } })
      .sort({ sentAt: -1 })
      .limit(4)
    const stages = await plan(rows)
    t.ok(stages.includes('IXSCAN') && !stages.includes('COLLSCAN'), stages.join())
    t.strictSame(
      (await rows.toArray()).map(({ sentAt }) => sentAt),
      [59, 56, 54, 53],
    )
  })

  t.test('hint forces an index', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ a: 1 })
    await docs.createIndex({ b: 1 })
    await docs.insertOne({ a: 1, b: 1 })
    const explained = JSON.stringify(await docs.find({ a: 1, b: 1 }).hint('b_1').explain())
    t.match(explained, /"indexName":"b_1"/)
  })

  t.test('collation of strength 2: a unique index and a query that ignore case', async (t) => {
    const docs = newCollection()
    const collation = { locale: 'en', strength: 2 }
    await docs.createIndex({ account: 1 }, { unique: true, collation })
    await docs.insertOne({ account: 'Alice' })
    await isDuplicate(t, docs.insertOne({ account: 'ALICE' }), 'account')
    t.equal((await docs.findOne({ account: 'alice' }, { collation }))?.['account'], 'Alice')
    t.equal(await docs.findOne({ account: 'alice' }), null)
  })
})

test('writes', async (t) => {
  t.test('upserts in a transaction: all of a bulk, $set and $setOnInsert together, or none', async (t) => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({ _id: 'u:1:2', users: [1, 2], hasLong: false })
    const note = (conversation: string) => ({
      updateOne: {
        filter: { _id: conversation },
        update: { $setOnInsert: { users: [1, 3] }, $set: { hasLong: true } },
        upsert: true,
      },
    })
    const bulk = ['u:1:2', 'u:1:3'].map(note)
    const aborted = client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.bulkWrite(bulk, { session, ordered: false })
        throw new Error('no')
      }),
    )
    await t.rejects(aborted, /no/)
    t.strictSame(await docs.find().toArray(), [{ _id: 'u:1:2', users: [1, 2], hasLong: false }])
    await client.withSession((session) =>
      session.withTransaction(async () => void (await docs.bulkWrite(bulk, { session, ordered: false }))),
    )
    t.strictSame(await docs.find().sort({ _id: 1 }).toArray(), [
      { _id: 'u:1:2', users: [1, 2], hasLong: true },
      { _id: 'u:1:3', users: [1, 3], hasLong: true },
    ])
  })

  t.test('documents are removed and inserted again in one transaction', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertMany(['1:2', '2:1'].map((_id) => ({ _id, n: 1 })))
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.deleteMany({ _id: { $in: ['1:2', '2:1', '3:1'] } }, { session })
        await docs.insertMany(
          ['1:2', '2:1', '3:1'].map((_id) => ({ _id, n: 2 })),
          { session },
        )
        t.equal((await docs.findOne({ _id: '1:2' }, { session }))?.n, 2, 'it reads its own writes')
      }),
    )
    const rows = await docs.find().sort({ _id: 1 }).toArray()
    t.strictSame(
      rows.map(({ _id, n }) => `${_id} ${n}`),
      ['1:2 2', '2:1 2', '3:1 2'],
    )
  })

  t.test('bulkWrite in a transaction: updateMany with $in, $set with $unset, $addToSet', async (t) => {
    const docs = newCollection<Document & { _id: number }>()
    await docs.insertMany(
      [1, 2, 3].map((_id) => ({ _id, messageId: `m${_id}`, from: _id % 2, name: 'x', deletedFor: [] })),
    )
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.bulkWrite(
          [
            {
              updateMany: {
                filter: { messageId: { $in: ['m1', 'm2', 'm3'] }, from: 1 },
                update: { $set: { isRead: true } },
              },
            },
            { updateOne: { filter: { _id: 3 }, update: { $set: { deletedFor: [1, 2] }, $unset: { name: '' } } } },
          ],
          { session, ordered: false },
        )
        await docs.updateMany({ deletedFor: { $ne: 2 } }, { $addToSet: { deletedFor: 2 } }, { session })
      }),
    )
    t.strictSame(await docs.find().sort({ _id: 1 }).project({ messageId: 0, from: 0 }).toArray(), [
      { _id: 1, name: 'x', deletedFor: [2], isRead: true },
      { _id: 2, name: 'x', deletedFor: [2] },
      { _id: 3, deletedFor: [1, 2], isRead: true },
    ])
  })

  t.test(
    'insertMany, unordered: what is there already is reported, one error each, and the rest is stored',
    async (t) => {
      const docs = newCollection<{ _id: number }>()
      await docs.insertMany([{ _id: 2 }, { _id: 4 }])
      const again = docs.insertMany(
        [1, 2, 3, 4, 5].map((_id) => ({ _id })),
        { ordered: false },
      )
      const error = (await t.rejects(again, MongoBulkWriteError)) as MongoBulkWriteError
      t.strictSame(
        [error.writeErrors].flat().map(({ code, index }) => [code, index]),
        [
          [11000, 1],
          [11000, 3],
        ],
      )
      t.equal(await docs.countDocuments(), 5)
    },
  )

  t.test('findOneAndReplace with upsert in a transaction gives what was there before', async (t) => {
    const docs = newCollection<{ _id: string; sessionId: string }>()
    const replace = (sessionId: string) =>
      client.withSession((session) =>
        session.withTransaction(() =>
          docs.findOneAndReplace({ _id: '1:web' }, { sessionId }, { upsert: true, returnDocument: 'before', session }),
        ),
      )
    t.equal(await replace('a'), null)
    t.strictSame(await replace('b'), { _id: '1:web', sessionId: 'a' })
    t.strictSame(await docs.find().toArray(), [{ _id: '1:web', sessionId: 'b' }])
  })

  t.test('a change under a condition tells whether it happened: counts, and null instead of a document', async (t) => {
    const docs = newCollection<Document & { _id: number }>()
    const presence = { online: false, at: 10 }
    await docs.insertOne({ _id: 1, status: 1, used: false, offlineTime: 5, presence, settings: { a: 1 } })
    const once = () => docs.updateOne({ _id: 1, used: false }, { $set: { used: true } })
    t.strictSame([(await once()).modifiedCount, (await once()).modifiedCount], [1, 0])
    const lock = () => docs.updateOne({ _id: 1, status: { $ne: -1 } }, { $set: { status: -1 } })
    t.strictSame([(await lock()).matchedCount, (await lock()).matchedCount], [1, 0])
    const older = { $set: { presence: { online: true, at: 9 } }, $max: { offlineTime: 9 } }
    t.equal((await docs.updateOne({ _id: 1, 'presence.at': { $lt: 9 } }, older)).matchedCount, 0)
    const unset = { _id: 1, payPassword: { $exists: false } }
    const change = () =>
      client.withSession((session) =>
        session.withTransaction(() =>
          docs.findOneAndUpdate(
            unset,
            { $set: { payPassword: 'x', 'settings.b': 2 } },
            { returnDocument: 'after', session },
          ),
        ),
      )
    t.strictSame((await change())?.['settings'], { a: 1, b: 2 })
    t.equal(await change(), null)
  })

  t.test('an upsert by dotted names makes the document around them', async (t) => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.updateOne({ _id: 'config' }, { $set: { 'values.a': 1 } }, { upsert: true })
    await docs.updateOne({ _id: 'config' }, { $set: { 'values.b': [2] } }, { upsert: true })
    t.strictSame(await docs.findOne(), { _id: 'config', values: { a: 1, b: [2] } })
  })

  t.test('upsert: the first inserts with $setOnInsert, the second updates without it', async (t) => {
    const docs = newCollection<{ _id: string; made?: number; seen?: number }>()
    const touch = (now: number) =>
      docs.updateOne({ _id: 'a' }, { $setOnInsert: { made: now }, $set: { seen: now } }, { upsert: true })
    t.equal((await touch(1)).upsertedCount, 1)
    t.equal((await touch(2)).modifiedCount, 1)
    t.strictSame(await docs.findOne({ _id: 'a' }), { _id: 'a', made: 1, seen: 2 })
  })

  t.test('concurrent upserts of one key make one document', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    const upsert = async (): Promise<unknown> =>
      docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { upsert: true }).catch((error) => {
        // The driver leaves this race to the caller: the other one has inserted.
        if (error.code === 11000) return upsert()
        throw error
      })
    await Promise.all(Array.from({ length: 20 }, upsert))
    t.strictSame(await docs.find().toArray(), [{ _id: 'a', n: 20 }])
  })

  t.test('$max, $min, $inc, $unset, $addToSet, $pull and $push with $slice', async (t) => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({ _id: 'a', last: 5, first: 5, n: 1, gone: 1, set: ['x'], list: [1, 2, 3], out: [1, 2, 1] })
    await docs.updateOne({ _id: 'a' }, { $max: { last: 3 }, $min: { first: 3 }, $inc: { n: 2 }, $unset: { gone: '' } })
    await docs.updateOne({ _id: 'a' }, {
      $addToSet: { set: { $each: ['x', 'y'] } },
      $pull: { out: 1 },
      $push: { list: { $each: [4], $slice: -2 } },
    } as never)
    t.strictSame(await docs.findOne({ _id: 'a' }), {
      ...{ _id: 'a', last: 5, first: 3, n: 3, set: ['x', 'y'], list: [3, 4], out: [2] },
    })
  })

  t.test('a pipeline update computes from the document itself', async (t) => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({ _id: 'a', sentAt: 10, text: 'old' })
    const newer = (sentAt: number, text: string) => [
      {
        $set: {
          text: { $cond: [{ $gt: [sentAt, '$sentAt'] }, text, '$text'] },
          sentAt: { $max: [sentAt, '$sentAt'] },
        },
      },
    ]
    await docs.updateOne({ _id: 'a' }, newer(5, 'late'))
    t.strictSame(await docs.findOne({ _id: 'a' }), { _id: 'a', sentAt: 10, text: 'old' })
    await docs.updateOne({ _id: 'a' }, newer(20, 'new'))
    t.strictSame(await docs.findOne({ _id: 'a' }), { _id: 'a', sentAt: 20, text: 'new' })
  })

  t.test('arrayFilters change the elements that match', async (t) => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({
      _id: 'a',
      devices: [
        { id: 'ios', on: true },
        { id: 'web', on: true },
      ],
    })
    await docs.updateOne({ _id: 'a' }, { $set: { 'devices.$[d].on': false } }, { arrayFilters: [{ 'd.id': 'web' }] })
    t.strictSame((await docs.findOne({ _id: 'a' }))?.['devices'], [
      { id: 'ios', on: true },
      { id: 'web', on: false },
    ])
  })

  t.test('bulkWrite: unordered goes on after a duplicate and reports it; counts are right', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'b', n: 0 })
    const work = docs.bulkWrite(
      [
        { insertOne: { document: { _id: 'a', n: 1 } } },
        { insertOne: { document: { _id: 'b', n: 1 } } },
        { updateOne: { filter: { _id: 'c' }, update: { $set: { n: 3 } }, upsert: true } },
        { updateOne: { filter: { _id: 'b' }, update: { $inc: { n: 5 } } } },
        { deleteOne: { filter: { _id: 'a' } } },
      ],
      { ordered: false },
    )
    const error = (await t.rejects(work, MongoBulkWriteError)) as MongoBulkWriteError
    t.equal(error.code, 11000)
    const { insertedCount, upsertedCount, modifiedCount, deletedCount } = error.result
    t.strictSame(
      { insertedCount, upsertedCount, modifiedCount, deletedCount },
      { insertedCount: 1, upsertedCount: 1, modifiedCount: 1, deletedCount: 1 },
    )
    t.strictSame(
      [error.writeErrors].flat().map(({ index }) => index),
      [1],
    )
    t.strictSame(await docs.find().sort({ _id: 1 }).toArray(), [
      { _id: 'b', n: 5 },
      { _id: 'c', n: 3 },
    ])
  })

  t.test('insertMany in a transaction is all or nothing', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'x' })
    const work = client.withSession((session) =>
      session.withTransaction(() => docs.insertMany([{ key: 'y' }, { key: 'x' }], { session })),
    )
    await t.rejects(work, { code: 11000 })
    t.equal(await docs.countDocuments(), 1)
  })

  t.test('findOneAndUpdate as a counter gives each of 100 concurrent callers another number', async (t) => {
    const docs = newCollection<{ _id: string; value: number }>()
    await docs.insertOne({ _id: 'users', value: 10_000_000 })
    const next = () => docs.findOneAndUpdate({ _id: 'users' }, { $inc: { value: 1 } }, { returnDocument: 'after' })
    const values = (await Promise.all(Array.from({ length: 100 }, next))).map((doc) => doc?.value)
    t.equal(new Set(values).size, 100)
    t.equal(Math.max(...values.map(Number)), 10_000_100)
  })

  t.test('retryable writes: the same command sent again by the driver is not applied twice', async (t) => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 0 })
    // Sent by hand, in a session of its own: the driver does it only after a lost connection.
    const other = await MongoClient.connect(servers.env['MONGODB_URL'] ?? '')
    t.after(() => other.close())
    const session = other.startSession()
    const updates = [{ q: { _id: 'a' }, u: { $inc: { n: 1 } } }]
    const command = { update: docs.collectionName, updates, txnNumber: Long.fromNumber(1) }
    for (const _time of ['once', 'again']) await other.db(db.databaseName).command(command, { session })
    await session.endSession()
    t.equal((await docs.findOne({ _id: 'a' }))?.n, 1)
  })

  t.test('a deleted document is gone for its unique key, too', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'a' })
    t.equal((await docs.deleteOne({ key: 'a' })).deletedCount, 1)
    await docs.insertOne({ key: 'a' })
  })
})

test('reads', async (t) => {
  t.test('a page of a chat as one side sees it, from below a position, on the index alone', async (t) => {
    const docs = newCollection()
    await ensureIndexes(docs, [{ key: { conversation: 1, timeSend: -1, ts: -1, _id: -1 } }])
    const ids = Array.from({ length: 40 }, () => new ObjectId())
    await docs.insertMany(
      ids.map((_id, n) => ({
        ...{ _id, n, conversation: `u:1:${2 + (n % 2)}`, contentType: n === 8 ? 100 : 1 },
        // Four messages share a second, two of them a millisecond.
        ...{ timeSend: Math.floor(n / 8), ts: Math.floor(n / 4), deletedFor: n === 4 ? [1] : [] },
        ...(n === 2
          ? { expireAt: new Date(Date.now() - 1) }
          : n === 6
            ? { expireAt: new Date(Date.now() + 60_000) }
            : {}),
      })),
    )
    const page = (after: Document | undefined, limit: number) =>
      docs
        .find({
          ...{
            conversation: 'u:1:2',
            contentType: { $lt: 100 },
            timeSend: { $gte: 0, $lte: after?.['timeSend'] ?? 99 },
          },
          ...{ deletedFor: { $ne: 1 }, expireAt: { $not: { $lte: new Date() } } },
          ...(after && {
            $or: [
              { timeSend: { $lt: after['timeSend'] } },
              { timeSend: after['timeSend'], ts: { $lt: after['ts'] } },
              { timeSend: after['timeSend'], ts: after['ts'], _id: { $lt: after['_id'] } },
            ],
          }),
        })
        .sort({ timeSend: -1, ts: -1, _id: -1 })
        .limit(limit)
    const stages = await plan(page(undefined, 3))
    t.ok(stages.includes('IXSCAN') && !stages.includes('SORT') && !stages.includes('COLLSCAN'), stages.join())
    const seen: number[] = []
    for (let last: Document | undefined; ; ) {
      const rows = await page(last, 3).toArray()
      if (!rows.length) break
      seen.push(...rows.map(({ n }) => n as number))
      last = rows.at(-1)
    }
    const expected = Array.from({ length: 20 }, (_, n) => 38 - 2 * n).filter((n) => ![2, 4, 8].includes(n))
    t.strictSame(seen, expected, 'each visible message once, newest first')
    t.strictSame(
      (await page(undefined, 2).skip(3).toArray()).map(({ n }) => n),
      [32, 30],
    )
  })

  t.test(
    '$in on an array: a document that matches twice comes once; sorted, limited, counted to a limit, in time',
    async (t) => {
      const docs = newCollection()
      await ensureIndexes(docs, [{ key: { tokens: 1, timeSend: -1 } }])
      await docs.insertMany(
        Array.from({ length: 30 }, (_, timeSend) => ({
          timeSend,
          from: timeSend % 3,
          tokens: ['1 你好', '1 好吗', '2 再见'],
          texts: ['x'],
        })),
      )
      const filter = { tokens: { $in: ['1 你好', '1 好吗'] }, timeSend: { $gte: 3, $lt: 27 }, from: 1 }
      const found = docs
        .find(filter)
        .sort({ timeSend: -1 })
        .limit(5)
        .batchSize(5)
        .project({ _id: 0, tokens: 0, texts: 0 })
        .maxTimeMS(5000)
      t.strictSame(
        await found.toArray(),
        [25, 22, 19, 16, 13].map((timeSend) => ({ timeSend, from: 1 })),
      )
      t.equal(await docs.countDocuments(filter, { maxTimeMS: 5000 }), 8)
      t.equal(await docs.countDocuments(filter, { limit: 6, maxTimeMS: 5000 }), 6)
      t.equal(await docs.estimatedDocumentCount(), 30)
    },
  )

  t.test('ObjectIds are in order of their making: the oldest, and what comes after one', async (t) => {
    const docs = newCollection()
    const ids = Array.from({ length: 10 }, () => new ObjectId())
    await docs.insertMany(ids.toReversed().map((_id) => ({ _id, to: 1 })))
    t.strictSame((await docs.findOne({}, { sort: { _id: 1 }, projection: { _id: 1 } }))?._id, ids[0])
    const after = docs
      .find({ _id: { $gt: ids[6]! } })
      .sort({ _id: 1 })
      .limit(2)
      .project({ _id: 1 })
    t.strictSame(await after.toArray(), [{ _id: ids[7] }, { _id: ids[8] }])
    t.equal((await docs.deleteMany({ _id: { $in: ids }, to: { $exists: true } })).deletedCount, 10)
  })

  t.test('a read in a transaction can be sorted, and sees only what was there when it began', async (t) => {
    const docs = newCollection()
    await ensureIndexes(docs, [{ key: { conversation: 1, timeSend: -1 } }])
    await docs.insertMany(
      [1, 2, 3].map((timeSend) => ({ conversation: 'r:a', timeSend, contentType: timeSend === 3 ? 9 : 1 })),
    )
    await client.withSession((session) =>
      session.withTransaction(async () => {
        const newest = () =>
          docs.findOne({ conversation: 'r:a', contentType: { $in: [1, 2] } }, { sort: { timeSend: -1 }, session })
        t.equal((await newest())?.['timeSend'], 2)
        await docs.insertOne({ conversation: 'r:a', timeSend: 4, contentType: 1 })
        t.equal((await newest())?.['timeSend'], 2)
      }),
    )
  })

  t.test('aggregation: $match, $group, $sort, $lookup, $facet', async (t) => {
    const [users, messages] = [newCollection(), newCollection()]
    await users.insertMany([1, 2].map((id) => ({ _id: id as never, name: `user ${id}` })))
    await messages.insertMany([1, 1, 2].map((sender, n) => ({ sender, n })))
    const [result] = await messages
      .aggregate([
        {
          $facet: {
            all: [{ $count: 'n' }],
            bySender: [{ $group: { _id: '$sender', n: { $sum: 1 } } }, { $sort: { n: -1 } }],
          },
        },
      ])
      .toArray()
    t.strictSame(result, {
      all: [{ n: 3 }],
      bySender: [
        { _id: 1, n: 2 },
        { _id: 2, n: 1 },
      ],
    })
    const joined = await messages
      .aggregate([
        { $match: { n: 2 } },
        { $lookup: { from: users.collectionName, localField: 'sender', foreignField: '_id', as: 'user' } },
      ])
      .toArray()
    t.equal(joined[0]?.['user'][0].name, 'user 2')
  })

  t.test('a large result comes in batches, in order', async (t) => {
    const docs = newCollection()
    await docs.insertMany(Array.from({ length: 5000 }, (_, n) => ({ _id: n as never })))
    const seen: unknown[] = []
    for await (const doc of docs.find().sort({ _id: 1 }).batchSize(100)) seen.push(doc._id)
    t.strictSame(
      seen,
      Array.from({ length: 5000 }, (_, n) => n),
    )
  })

  t.test('values come back as they were: 64-bit integers, dates, binary, null and absent fields', async (t) => {
    const docs = newCollection()
    const { insertedId } = await docs.insertOne({
      ...{
        big: 2 ** 53 - 1,
        at: new Date(1_700_000_000_123),
        bytes: Buffer.from([0, 255]),
        none: null,
        text: '你好 👋',
      },
    })
    const doc = await docs.findOne({ _id: insertedId })
    t.equal(doc?.['big'], 2 ** 53 - 1)
    t.equal(doc?.['at'].getTime(), 1_700_000_000_123)
    t.strictSame([...doc!['bytes'].buffer.subarray(0, 2)], [0, 255])
    t.equal(doc?.['text'], '你好 👋')
    t.equal(await docs.countDocuments({ none: null, other: { $exists: false } }), 1)
  })

  t.test('an anchored regex on an indexed field finds prefixes', async (t) => {
    const docs = newCollection()
    await docs.createIndex({ name: 1 })
    await docs.insertMany(['alice', 'alina', 'bob'].map((name) => ({ name })))
    const names = await docs.find({ name: /^ali/ }).sort({ name: 1 }).toArray()
    t.strictSame(
      names.map(({ name }) => name),
      ['alice', 'alina'],
    )
  })
})

/** Not for a server of somebody else: it is killed. */
const notOurs =
  process.env['MONGODB_URL'] &&
  !process.env['IM_TEST_OWN_SERVERS']?.split(',').includes('mongodb') &&
  'MONGODB_URL names a server that we must not kill'

test('durability', { skip: notOurs || false }, async (t) => {
  t.test(
    'kill -9 amid writes of w: majority, j: true: nothing acknowledged is lost, no transaction is half there',
    async (t) => {
      const dataDir = await mkdtemp(join(tmpdir(), 'im-mongodb-kill-'))
      const own = await startServers({
        ...{ dataDir, ports: 'free', env: withoutGivenServers(process.env), servers: ['mongodb'], supervise: false },
      })
      t.after(async () => {
        await own.close()
        await rm(dataDir, { recursive: true, force: true })
      })
      const acknowledged: { id: string; pair: boolean }[] = []
      for (let round = 0; round < 2; round += 1) {
        await writeUntilKilled(own, round, acknowledged)
        await own.restart('mongodb')
      }

      const reader = await MongoClient.connect(own.env['MONGODB_URL'] ?? '')
      const docs = reader.db('kill').collection<{ _id: string }>('docs')
      const stored = new Set((await docs.find().project({ _id: 1 }).toArray()).map(({ _id }) => _id as string))
      await reader.close()
      t.ok(acknowledged.length > 200, `only ${acknowledged.length} writes were acknowledged`)
      const expected = acknowledged.flatMap(({ id, pair }) => (pair ? [`${id}:left`, `${id}:right`] : [id]))
      t.strictSame(
        expected.filter((id) => !stored.has(id)),
        [],
      )
      const halves = [...stored].filter((id) => {
        const other = id.endsWith(':left') ? id.replace(/left$/, 'right') : id.replace(/right$/, 'left')
        return id.includes(':') && !stored.has(other)
      })
      t.strictSame(halves, [])
      t.comment(`${acknowledged.length} acknowledged writes in 2 kills, ${stored.size} documents stored`)
    },
  )
})

test('expiry', async (t) => {
  t.test(
    'TTL: documents go when their time or age is over, also when it was changed later',
    {
      timeout: 150_000,
    },
    async (t) => {
      const names = async () => (await expiring.find().sort({ _id: 1 }).toArray()).map(({ _id }) => String(_id))
      await eventually(async () => !(await names()).some((name) => name.startsWith('over')), 140_000)
      t.strictSame(await names(), ['kept', 'unlimited'])
    },
  )
})

/** 16 writers, a quarter of them with transactions of two documents, until the server is killed after about 1.5 s. */
async function writeUntilKilled(
  own: Servers,
  round: number,
  acknowledged: { id: string; pair: boolean }[],
): Promise<void> {
  const writer = new MongoClient(own.env['MONGODB_URL'] ?? '', {
    ...{ writeConcern: durable, retryWrites: false, serverSelectionTimeoutMS: 3000 },
  })
  await writer.connect()
  const docs = writer.db('kill').collection<{ _id: string }>('docs')
  let over = false
  const write = async (id: string, pair: boolean) => {
    if (!pair) await docs.insertOne({ _id: id })
    else
      await writer.withSession(async (session) => {
        session.startTransaction()
        await docs.insertOne({ _id: `${id}:left` }, { session })
        await docs.insertOne({ _id: `${id}:right` }, { session })
        await session.commitTransaction()
      })
    acknowledged.push({ id, pair })
  }
  const writers = Array.from({ length: 16 }, async (_, number) => {
    for (let n = 0; !over; n += 1) await write(`r${round}w${number}n${n}`, number % 4 === 0)
  })
  const ends = Promise.allSettled(writers)
  const enough = acknowledged.length + 500
  await eventually(() => acknowledged.length > enough, 30_000)
  await own.kill('mongodb', 'SIGKILL')
  over = true
  await ends
  await writer.close(true)
}
