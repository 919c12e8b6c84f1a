import { connectMongo, isStoreAway, StoreAwayError } from '@im/service-kit'
import { ownServer, testEnv } from '@im/service-kit/testing'
import { MongoClient, MongoServerError } from 'mongodb'
import { type Test, test } from 'tap'

const thrown = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

async function connected(t: Test, url: string) {
  const { NAMESPACE: namespace = '' } = testEnv()
  const mongo = await connectMongo({ url, namespace, service: 'kit' })
  t.after(async () => {
    await mongo.db.dropDatabase().catch(() => {})
    await mongo.close()
  })
  return mongo
}

test('an error that only looks like it is no store that is away', (t) => {
  t.ok(isStoreAway(new StoreAwayError('Redis', 'gone')))
  t.notOk(isStoreAway(AbortSignal.timeout(0).reason))
  t.notOk(isStoreAway(Object.assign(new Error('slow provider'), { name: 'TimeoutError' })))
  t.notOk(isStoreAway(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })))
  t.notOk(isStoreAway(Object.assign(new Error('Command timed out'), { name: 'MongoNetworkError' })))
  t.notOk(isStoreAway('gone'))
  t.end()
})

test('MongoDB is away when nobody listens, and when the connection is closed', async (t) => {
  const nobody = new MongoClient('mongodb://127.0.0.1:1', { serverSelectionTimeoutMS: 50 })
  t.ok(isStoreAway(await thrown(nobody.db('x').command({ ping: 1 }))))
  await nobody.close()
  const server = await ownServer(t, 'mongodb')
  if (!server) return
  const { db } = await connected(t, server.url)
  await server.kill()
  const error = await thrown(db.command({ ping: 1 }))
  t.ok(isStoreAway(error), String(error))
})

test('a conflict of two transactions is tried again, what MongoDB refuses is not', async (t) => {
  const { client, db } = await connected(t, process.env['MONGODB_URL'] ?? '')
  const things = db.collection<{ _id: string; n: number }>('things')
  await things.insertOne({ _id: 'a', n: 1 })
  const [first, second] = [client.startSession(), client.startSession()]
  t.after(() => Promise.all([first.endSession(), second.endSession()]))
  first.startTransaction()
  second.startTransaction()
  await things.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: first })
  t.ok(isStoreAway(await thrown(things.updateOne({ _id: 'a' }, { $inc: { n: 1 } }, { session: second }))))
  await first.abortTransaction()
  await second.abortTransaction()
  t.notOk(isStoreAway(await thrown(things.insertOne({ _id: 'a', n: 2 }))))
  t.notOk(isStoreAway(await thrown(db.command({ noSuchCommand: 1 }))))
})

test('a server without room, majority or knowledge of the password is away: events wait instead of being put aside', (t) => {
  for (const code of [18, 64, 100, 134, 262, 14_031])
    t.ok(isStoreAway(new MongoServerError({ message: 'x', code })), String(code))
  t.notOk(isStoreAway(new MongoServerError({ message: 'x', code: 11_000 })))
  t.end()
})
