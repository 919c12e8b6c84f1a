/**
 * Everything that the repositories of the services rely on, asked of the MongoDB that MONGODB_URL names: an operator runs
 * it against his own before he trusts it with messages. Without MONGODB_URL it starts the server that `npm start` takes.
 *
 *   MONGODB_URL=mongodb://… node --test test-e2e/test/mongodb-conformance.test.ts
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Servers, startServers, withoutGivenServers } from '@im/dev/servers'
import { eventually } from '@im/service-kit/testing'
import { type Collection, type Db, type Document, Long, MongoClient, MongoServerError } from 'mongodb'

const durable = { w: 'majority', j: true } as const

let servers: Servers
let folder: string
let client: MongoClient
let db: Db

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'im-mongodb-'))
  servers = await startServers({ dataDir: folder, ports: 'free', env: process.env, servers: ['mongodb'] })
  client = await MongoClient.connect(servers.env['MONGODB_URL'] ?? '', { writeConcern: durable })
  db = client.db(`im_conformance_${randomBytes(4).toString('hex')}`)
})

after(async () => {
  await db?.dropDatabase()
  await client?.close()
  await servers?.close()
  if (folder) await rm(folder, { recursive: true, force: true })
})

let collections = 0
/** A new collection: tests don't see each other's documents. */
const newCollection = <T extends Document = Document>(): Collection<T> => {
  collections += 1
  return db.collection<T>(`c${collections}`)
}

const duplicateKey = (field: string) => (error: unknown) => {
  assert.ok(error instanceof MongoServerError, String(error))
  assert.equal(error.code, 11000)
  assert.deepEqual(Object.keys(error['keyPattern'] ?? {}), field.split(','))
  return true
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

describe('transactions', () => {
  test('what a transaction wrote is seen by nobody else before the commit, and by everybody after', async () => {
    const docs = newCollection()
    await docs.insertOne({ _id: 'first' as never })
    const session = client.startSession()
    session.startTransaction()
    await docs.insertOne({ _id: 'second' as never }, { session })
    assert.equal(await docs.countDocuments({}, { session }), 2)
    assert.equal(await docs.countDocuments(), 1)
    await session.commitTransaction()
    assert.equal(await docs.countDocuments(), 2)
    await session.endSession()
  })

  test('a transaction reads one snapshot, whatever others write meanwhile', async () => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 1 })
    const session = client.startSession()
    session.startTransaction({ readConcern: { level: 'snapshot' } })
    assert.equal((await docs.findOne({ _id: 'a' }, { session }))?.n, 1)
    await docs.updateOne({ _id: 'a' }, { $set: { n: 2 } })
    assert.equal((await docs.findOne({ _id: 'a' }, { session }))?.n, 1)
    await session.abortTransaction()
    await session.endSession()
  })

  test('an aborted transaction leaves nothing, in no collection', async () => {
    const [docs, outbox] = [newCollection(), newCollection()]
    await Promise.all([docs.insertOne({ n: 0 }), outbox.insertOne({ n: 0 })])
    const session = client.startSession()
    session.startTransaction()
    await docs.insertOne({ n: 1 }, { session })
    await outbox.insertOne({ n: 1 }, { session })
    await session.abortTransaction()
    await session.endSession()
    assert.equal((await docs.countDocuments()) + (await outbox.countDocuments()), 2)
  })

  test('of two transactions that write one document, the second fails with TransientTransactionError', async () => {
    const docs = newCollection<{ _id: string; n: number }>()
    await docs.insertOne({ _id: 'a', n: 0 })
    const [one, two] = [client.startSession(), client.startSession()]
    one.startTransaction()
    two.startTransaction()
    await docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: one })
    await assert.rejects(docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: two }), (error: unknown) => {
      assert.ok(error instanceof MongoServerError && error.hasErrorLabel('TransientTransactionError'), String(error))
      return true
    })
    await two.abortTransaction().catch(() => {})
    await one.commitTransaction()
    await Promise.all([one.endSession(), two.endSession()])
    assert.equal((await docs.findOne({ _id: 'a' }))?.n, 1)
  })

  test('withTransaction tries again until each of 20 concurrent increments counts', async () => {
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
    assert.equal((await docs.findOne({ _id: 'a' }))?.n, 20)
  })

  test('a unique index rejects inside a transaction, which then leaves nothing', async () => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'a' })
    const work = client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.insertOne({ key: 'b' }, { session })
        await docs.insertOne({ key: 'a' }, { session })
      }),
    )
    await assert.rejects(work, duplicateKey('key'))
    assert.equal(await docs.countDocuments(), 1)
  })

  test('a collection can be made by the first insert of a transaction', async () => {
    const docs = newCollection()
    await client.withSession((session) => session.withTransaction(() => docs.insertOne({ n: 1 }, { session })))
    assert.equal(await docs.countDocuments(), 1)
  })
})

describe('indexes', () => {
  test('unique: the error is E11000 and names the index key', async () => {
    const docs = newCollection()
    await docs.createIndex({ telephone: 1 }, { unique: true })
    await docs.insertOne({ telephone: '8613800000000' })
    await assert.rejects(docs.insertOne({ telephone: '8613800000000' }), duplicateKey('telephone'))
  })

  test('unique and compound: only the whole key must differ', async () => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, messageId: 1 }, { unique: true })
    await docs.insertMany([
      { conversation: 'u:1:2', messageId: 'a' },
      { conversation: 'u:1:3', messageId: 'a' },
    ])
    await assert.rejects(
      docs.insertOne({ conversation: 'u:1:2', messageId: 'a' }),
      duplicateKey('conversation,messageId'),
    )
  })

  test('unique and partial: documents outside the filter may repeat the key', async () => {
    const docs = newCollection()
    await docs.createIndex({ account: 1 }, { unique: true, partialFilterExpression: { account: { $exists: true } } })
    await docs.insertMany([{ n: 1 }, { n: 2 }, { account: 'alice' }])
    await assert.rejects(docs.insertOne({ account: 'alice' }), duplicateKey('account'))
  })

  test('creating an index again changes nothing', async () => {
    const docs = newCollection()
    const names = await Promise.all([1, 2].map(() => docs.createIndex({ a: 1, b: -1 })))
    assert.deepEqual(names, ['a_1_b_-1', 'a_1_b_-1'])
    assert.equal((await docs.indexes()).length, 2)
  })

  test('TTL: an index with expireAfterSeconds removes what is over', { timeout: 150_000 }, async () => {
    const docs = newCollection()
    await docs.createIndex({ expireAt: 1 }, { expireAfterSeconds: 0 })
    await docs.insertMany([
      { _id: 'over' as never, expireAt: new Date(Date.now() - 1000) },
      { _id: 'kept' as never, expireAt: new Date(Date.now() + 3600_000) },
      { _id: 'unlimited' as never },
    ])
    // The sweep comes once a minute.
    await eventually(async () => (await docs.countDocuments({ _id: 'over' as never })) === 0, 140_000)
    assert.equal(await docs.countDocuments(), 2)
  })

  test('2dsphere: $near gives what is within the distance, nearest first, combined with another condition', async () => {
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
    assert.deepEqual(
      (await near.toArray()).map(({ name }) => name),
      ['here', 'next'],
    )
    const rows = await docs
      .aggregate([
        { $geoNear: { near: geometry, distanceField: 'metres', maxDistance: 50_000, query: { visible: true } } },
      ])
      .toArray()
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['here', 'next'],
    )
    assert.ok(rows[1]?.['metres'] > 1000 && rows[1]?.['metres'] < 2000, `${rows[1]?.['metres']} m`)
  })

  test('multikey: an element of an array is found by the index', async () => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, tokens: 1 })
    await docs.insertMany([
      { conversation: 'u:1:2', tokens: ['你好', '好吗'] },
      { conversation: 'u:1:2', tokens: ['再见'] },
    ])
    const query = docs.find({ conversation: 'u:1:2', tokens: '好吗' })
    assert.ok((await plan(query)).includes('IXSCAN'))
    assert.equal((await query.toArray()).length, 1)
    const both = docs.find({ conversation: 'u:1:2', tokens: { $all: ['你好', '好吗'] } })
    assert.equal((await both.toArray()).length, 1)
  })

  test('a query with sort runs on the compound index: IXSCAN and no sort stage', async () => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, sentAt: -1 })
    await docs.insertMany(Array.from({ length: 100 }, (_, n) => ({ conversation: `u:1:${n % 5}`, sentAt: n })))
    const page = docs
      .find({ conversation: 'u:1:3', sentAt: { $lt: 90 } })
      .sort({ sentAt: -1 })
      .limit(5)
    const stages = await plan(page)
    assert.ok(stages.includes('IXSCAN') && !stages.includes('SORT') && !stages.includes('COLLSCAN'), stages.join())
    assert.deepEqual(
      (await page.toArray()).map(({ sentAt }) => sentAt),
      [88, 83, 78, 73, 68],
    )
  })

  test('$in with a sort on the index gives the right order', async () => {
    const docs = newCollection()
    await docs.createIndex({ conversation: 1, sentAt: -1 })
    await docs.insertMany(Array.from({ length: 60 }, (_, n) => ({ conversation: `r:${n % 6}`, sentAt: n })))
    const rows = docs
      .find({ conversation: { $in: ['r:0', 'r:2', 'r:5'] } })
      .sort({ sentAt: -1 })
      .limit(4)
    const stages = await plan(rows)
    assert.ok(stages.includes('IXSCAN') && !stages.includes('COLLSCAN'), stages.join())
    assert.deepEqual(
      (await rows.toArray()).map(({ sentAt }) => sentAt),
      [59, 56, 54, 53],
    )
  })

  test('hint forces an index', async () => {
    const docs = newCollection()
    await docs.createIndex({ a: 1 })
    await docs.createIndex({ b: 1 })
    await docs.insertOne({ a: 1, b: 1 })
    const explained = JSON.stringify(await docs.find({ a: 1, b: 1 }).hint('b_1').explain())
    assert.match(explained, /"indexName":"b_1"/)
  })

  test('collation of strength 2: a unique index and a query that ignore case', async () => {
    const docs = newCollection()
    const collation = { locale: 'en', strength: 2 }
    await docs.createIndex({ account: 1 }, { unique: true, collation })
    await docs.insertOne({ account: 'Alice' })
    await assert.rejects(docs.insertOne({ account: 'ALICE' }), duplicateKey('account'))
    assert.equal((await docs.findOne({ account: 'alice' }, { collation }))?.['account'], 'Alice')
    assert.equal(await docs.findOne({ account: 'alice' }), null)
  })
})

describe('writes', () => {
  test('upsert: the first inserts with $setOnInsert, the second updates without it', async () => {
    const docs = newCollection<{ _id: string; made?: number; seen?: number }>()
    const touch = (now: number) =>
      docs.updateOne({ _id: 'a' }, { $setOnInsert: { made: now }, $set: { seen: now } }, { upsert: true })
    assert.equal((await touch(1)).upsertedCount, 1)
    assert.equal((await touch(2)).modifiedCount, 1)
    assert.deepEqual(await docs.findOne({ _id: 'a' }), { _id: 'a', made: 1, seen: 2 })
  })

  test('concurrent upserts of one key make one document', async () => {
    const docs = newCollection<{ _id: string; n: number }>()
    const upsert = async (): Promise<unknown> =>
      docs.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { upsert: true }).catch((error) => {
        // The driver leaves this race to the caller: the other one has inserted.
        if (error.code === 11000) return upsert()
        throw error
      })
    await Promise.all(Array.from({ length: 20 }, upsert))
    assert.deepEqual(await docs.find().toArray(), [{ _id: 'a', n: 20 }])
  })

  test('$max, $min, $inc, $unset, $addToSet, $pull and $push with $slice', async () => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({ _id: 'a', last: 5, first: 5, n: 1, gone: 1, set: ['x'], list: [1, 2, 3], out: [1, 2, 1] })
    await docs.updateOne({ _id: 'a' }, { $max: { last: 3 }, $min: { first: 3 }, $inc: { n: 2 }, $unset: { gone: '' } })
    await docs.updateOne({ _id: 'a' }, {
      $addToSet: { set: { $each: ['x', 'y'] } },
      $pull: { out: 1 },
      $push: { list: { $each: [4], $slice: -2 } },
    } as never)
    assert.deepEqual(await docs.findOne({ _id: 'a' }), {
      ...{ _id: 'a', last: 5, first: 3, n: 3, set: ['x', 'y'], list: [3, 4], out: [2] },
    })
  })

  test('a pipeline update computes from the document itself', async () => {
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
    assert.deepEqual(await docs.findOne({ _id: 'a' }), { _id: 'a', sentAt: 10, text: 'old' })
    await docs.updateOne({ _id: 'a' }, newer(20, 'new'))
    assert.deepEqual(await docs.findOne({ _id: 'a' }), { _id: 'a', sentAt: 20, text: 'new' })
  })

  test('arrayFilters change the elements that match', async () => {
    const docs = newCollection<Document & { _id: string }>()
    await docs.insertOne({
      _id: 'a',
      devices: [
        { id: 'ios', on: true },
        { id: 'web', on: true },
      ],
    })
    await docs.updateOne({ _id: 'a' }, { $set: { 'devices.$[d].on': false } }, { arrayFilters: [{ 'd.id': 'web' }] })
    assert.deepEqual((await docs.findOne({ _id: 'a' }))?.['devices'], [
      { id: 'ios', on: true },
      { id: 'web', on: false },
    ])
  })

  test('bulkWrite: unordered goes on after a duplicate and reports it; counts are right', async () => {
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
    await assert.rejects(work, (error: Document) => {
      assert.equal(error['code'], 11000)
      const { insertedCount, upsertedCount, modifiedCount, deletedCount } = error['result']
      assert.deepEqual(
        { insertedCount, upsertedCount, modifiedCount, deletedCount },
        {
          ...{ insertedCount: 1, upsertedCount: 1, modifiedCount: 1, deletedCount: 1 },
        },
      )
      assert.deepEqual(
        error['writeErrors'].map((each: Document) => each['index']),
        [1],
      )
      return true
    })
    assert.deepEqual(await docs.find().sort({ _id: 1 }).toArray(), [
      { _id: 'b', n: 5 },
      { _id: 'c', n: 3 },
    ])
  })

  test('insertMany in a transaction is all or nothing', async () => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'x' })
    const work = client.withSession((session) =>
      session.withTransaction(() => docs.insertMany([{ key: 'y' }, { key: 'x' }], { session })),
    )
    await assert.rejects(work, { code: 11000 })
    assert.equal(await docs.countDocuments(), 1)
  })

  test('findOneAndUpdate as a counter gives each of 100 concurrent callers another number', async () => {
    const docs = newCollection<{ _id: string; value: number }>()
    await docs.insertOne({ _id: 'users', value: 10_000_000 })
    const next = () => docs.findOneAndUpdate({ _id: 'users' }, { $inc: { value: 1 } }, { returnDocument: 'after' })
    const values = (await Promise.all(Array.from({ length: 100 }, next))).map((doc) => doc?.value)
    assert.equal(new Set(values).size, 100)
    assert.equal(Math.max(...values.map(Number)), 10_000_100)
  })

  test('retryable writes: the same command sent again by the driver is not applied twice', async (t) => {
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
    assert.equal((await docs.findOne({ _id: 'a' }))?.n, 1)
  })

  test('a deleted document is gone for its unique key, too', async () => {
    const docs = newCollection()
    await docs.createIndex({ key: 1 }, { unique: true })
    await docs.insertOne({ key: 'a' })
    assert.equal((await docs.deleteOne({ key: 'a' })).deletedCount, 1)
    await docs.insertOne({ key: 'a' })
  })
})

describe('reads', () => {
  test('aggregation: $match, $group, $sort, $lookup, $facet', async () => {
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
    assert.deepEqual(result, {
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
    assert.equal(joined[0]?.['user'][0].name, 'user 2')
  })

  test('a large result comes in batches, in order', async () => {
    const docs = newCollection()
    await docs.insertMany(Array.from({ length: 5000 }, (_, n) => ({ _id: n as never })))
    const seen: unknown[] = []
    for await (const doc of docs.find().sort({ _id: 1 }).batchSize(100)) seen.push(doc._id)
    assert.deepEqual(
      seen,
      Array.from({ length: 5000 }, (_, n) => n),
    )
  })

  test('values come back as they were: 64-bit integers, dates, binary, null and absent fields', async () => {
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
    assert.ok(doc)
    assert.equal(doc['big'], 2 ** 53 - 1)
    assert.equal(doc['at'].getTime(), 1_700_000_000_123)
    assert.deepEqual([...doc['bytes'].buffer.subarray(0, 2)], [0, 255])
    assert.equal(doc['text'], '你好 👋')
    assert.equal(await docs.countDocuments({ none: null, other: { $exists: false } }), 1)
  })

  test('an anchored regex on an indexed field finds prefixes', async () => {
    const docs = newCollection()
    await docs.createIndex({ name: 1 })
    await docs.insertMany(['alice', 'alina', 'bob'].map((name) => ({ name })))
    const names = await docs.find({ name: /^ali/ }).sort({ name: 1 }).toArray()
    assert.deepEqual(
      names.map(({ name }) => name),
      ['alice', 'alina'],
    )
  })
})

describe('change streams', () => {
  test('a change is told after its commit, in order, and a stream resumes where it was', async () => {
    const docs = newCollection<{ _id: string }>()
    await docs.insertOne({ _id: 'before' })
    const stream = docs.watch()
    // The cursor exists from the first call on.
    assert.equal(await stream.tryNext(), null)
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await docs.insertOne({ _id: 'a' }, { session })
        await docs.insertOne({ _id: 'b' }, { session })
      }),
    )
    const first = await stream.next()
    assert.ok(first.operationType === 'insert' && first.documentKey._id === 'a')
    const resumeAfter = stream.resumeToken
    await stream.close()

    await docs.updateOne({ _id: 'a' }, { $set: { n: 1 } as never })
    const resumed = docs.watch([], { resumeAfter, fullDocument: 'updateLookup' })
    const told = [await resumed.next(), await resumed.next()]
    assert.deepEqual(
      told.map(({ operationType }) => operationType),
      ['insert', 'update'],
    )
    await resumed.close()
  })
})

/** Not for a server of somebody else: it is killed. */
const notOurs =
  process.env['MONGODB_URL'] &&
  process.env['IM_TEST_OWN_MONGODB'] !== '1' &&
  'MONGODB_URL names a server that we must not kill'

describe('durability', { skip: notOurs || false }, () => {
  test('kill -9 amid writes of w: majority, j: true: nothing acknowledged is lost, no transaction is half there', async (t) => {
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
    assert.ok(acknowledged.length > 200, `only ${acknowledged.length} writes were acknowledged`)
    const expected = acknowledged.flatMap(({ id, pair }) => (pair ? [`${id}:left`, `${id}:right`] : [id]))
    assert.deepEqual(
      expected.filter((id) => !stored.has(id)),
      [],
    )
    const halves = [...stored].filter((id) => {
      const other = id.endsWith(':left') ? id.replace(/left$/, 'right') : id.replace(/right$/, 'left')
      return id.includes(':') && !stored.has(other)
    })
    assert.deepEqual(halves, [])
    t.diagnostic(`${acknowledged.length} acknowledged writes in 2 kills, ${stored.size} documents stored`)
  })
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
