import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { contract, type Handlers, Nothing, Text } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import { bindHandlers, connectMongo, createServiceApp, inTransaction, isStoreAway, type Runtime } from '@im/service-kit'
import { createTestClient, dropNamespace, eventually, failure, recordEvents, testEnv } from '@im/service-kit/testing'
import { type ClientSession, MongoError } from 'mongodb'
import { test } from 'tap'
import { Type } from 'typebox'
import { setCaller, withRequestId } from '../src/current-call.ts'
import { asConflict } from '../src/transaction.ts'
import { ownNamespace, readConfig, startProcess, startRuntime, update } from './runtime.ts'

const things = contract('org', {
  addThing: {
    path: '/things/add',
    summary: { zh: '添加', en: 'Add' },
    auth: 'none',
    timeoutMs: 500,
    params: Type.Object({ name: Text(), workMs: Text() }),
    result: Nothing,
  },
  addAfterLongCount: {
    path: '/things/count',
    summary: { zh: '计数', en: 'Count' },
    auth: 'none',
    timeoutMs: 500,
    limits: [{ by: 'ip', max: 1, seconds: 1 }],
    params: Type.Object({}),
    result: Nothing,
  },
})

/** Takes longer than anybody waits for an answer. */
const slowLimits = { take: () => delay(600), giveBack: async () => {} } as never

/** How often a change was run that always meets another. */
let meetings = 0

const handlers: Handlers<typeof things, Runtime> = {
  async addThing({ outbox, db }, { params }) {
    await outbox.commit(async (change) => {
      if (params.name === 'meets others') {
        meetings++
        throw asConflict(new MongoError('met another'))
      }
      await db.collection('things').insertOne({ name: params.name }, { session: change.session })
      change.announce(userUpdated, params.name, update(1, params.name))
      await delay(Number(params.workMs))
    })
  },
  async addAfterLongCount({ db }) {
    await db.collection('things').insertOne({ name: 'counted' })
  },
}

test('nothing is committed or announced of which the caller was told that it failed', async (t) => {
  const env = ownNamespace(t)
  const runtime = await startRuntime(t, env)
  const announced = await recordEvents(t, env, userUpdated)
  const { db, log, metrics } = runtime
  await db.createCollection('things')
  const config = readConfig({ ...process.env, NODE_ENV: 'test' })
  const app = createServiceApp({
    handlers: bindHandlers(things, handlers),
    deps: runtime,
    config,
    log,
    metrics,
    limits: slowLimits,
  })
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const api = createTestClient({ baseUrl })
  t.after(async () => {
    await api.close()
    await app.close()
  })
  await api.call(things.addThing, { name: 'in time', workMs: '0' })
  await t.rejects(api.call(things.addThing, { name: 'too late', workMs: '900' }), failure('ServiceUnavailable'))
  await t.rejects(api.call(things.addAfterLongCount, {}), failure('ServiceUnavailable'))
  const leaving = api.call(things.addThing, { name: 'left', workMs: '300' }, { signal: AbortSignal.timeout(100) })
  await t.rejects(leaving)
  const meeting = api.call(things.addThing, { name: 'meets others', workMs: '0' }, { signal: AbortSignal.timeout(100) })
  await t.rejects(meeting)
  await delay(200)
  const met = meetings
  await delay(500)
  t.ok(met > 1)
  t.equal(meetings, met, 'nor is it run again')
  t.strictSame(
    (await db.collection('things').find().toArray()).map(({ name }) => name),
    ['in time'],
  )
  await eventually(() => announced.length > 0)
  t.strictSame(
    announced.map(({ nickname }) => nickname),
    ['in time'],
  )
})

test('a transaction that keeps meeting others is given up in time, as a store that is away', async (t) => {
  const { db, mongoClient } = await startRuntime(t)
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.insertOne({ _id: 'a', value: 0 })
  const blocking = mongoClient.startSession()
  t.after(() => blocking.endSession())
  blocking.startTransaction()
  await counters.updateOne({ _id: 'a' }, { $inc: { value: 1 } }, { session: blocking })
  let tries = 0
  const startedAt = Date.now()
  const error = await inTransaction(mongoClient, async (session) => {
    tries++
    await counters.updateOne({ _id: 'a' }, { $inc: { value: 10 } }, { session })
  }).catch((thrown: unknown) => thrown)
  t.ok(isStoreAway(error))
  t.ok(tries > 5)
  t.ok(Date.now() - startedAt < 8000)
  await blocking.commitTransaction()
  t.equal(await eventually(async () => (await counters.findOne({ _id: 'a' }))?.value), 1)
})

test('changes of one thing that one caller makes at the same moment are all made, with little done twice', async (t) => {
  const { db, mongoClient } = await startRuntime(t)
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.insertOne({ _id: 'a', value: 0 })
  let tries = 0
  const countUp = async (session: ClientSession) => {
    tries++
    const { value = 0 } = (await counters.findOne({ _id: 'a' }, { session })) ?? {}
    await counters.updateOne({ _id: 'a' }, { $set: { value: value + 1 } }, { session })
  }
  const calls = Array.from({ length: 60 }, (_, n) =>
    withRequestId(String(n), () => {
      setCaller(10_000_001)
      return inTransaction(mongoClient, countUp)
    }),
  )
  await Promise.all(calls)
  t.equal((await counters.findOne({ _id: 'a' }))?.value, 60)
  t.ok(tries <= 150, `${tries} tries`)
})

test('what a transaction throws is thrown, and nothing of it stays', async (t) => {
  const { db, mongoClient } = await startRuntime(t)
  const failing = inTransaction(mongoClient, async (session) => {
    await db.collection('things').insertOne({ name: 'x' }, { session })
    throw new Error('no')
  })
  await t.rejects(failing, { message: 'no' })
  t.equal(await db.collection('things').countDocuments(), 0)
})

test('a long command on a connection that the network dropped fails, and the next one succeeds', async (t) => {
  const { hostname, port } = new URL(process.env['MONGODB_URL'] ?? '')
  let isDropped = false
  const sockets = new Set<Socket>()
  const server = createServer((inner) => {
    const outer = connect(Number(port), hostname)
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => other.destroy())
    }
    outer.pipe(inner)
    inner.on('data', (data) => {
      if (isDropped) inner.pause()
      else outer.write(data)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `mongodb://127.0.0.1:${(server.address() as AddressInfo).port}/?directConnection=true`
  const env = testEnv()
  const mongo = await connectMongo({ url, namespace: env['NAMESPACE'] ?? '', service: 'kit' })
  t.after(async () => {
    await mongo.close()
    for (const socket of sockets) socket.destroy()
    server.close()
    await dropNamespace(env)
  })
  const things = mongo.db.collection('things')
  await things.insertOne({ n: 0 })
  const rows = Array.from({ length: 40 }, (_, n) => ({ n, text: 'x'.repeat(200_000) }))
  isDropped = true
  const write = () =>
    inTransaction(mongo.client, (session) => things.insertMany(rows, { session, forceServerObjectId: true }))
  const failed = await write().then(
    () => undefined,
    (error: unknown) => error,
  )
  t.ok(isStoreAway(failed), String(failed))
  isDropped = false
  for (const socket of sockets) socket.destroy()
  await eventually(
    () => inTransaction(mongo.client, (session) => things.insertOne({ n: 1 }, { session })).then(() => true),
    30_000,
  )
  t.equal(await things.countDocuments({ text: { $exists: true } }), 0, 'what failed is not there')
})

test('what a failed attempt left running does not write in the next', async (t) => {
  const { db, mongoClient } = await startRuntime(t)
  const counters = db.collection<{ _id: string; value: number }>('counters')
  await counters.insertOne({ _id: 'a', value: 0 })
  await db.createCollection('things')
  const blocking = mongoClient.startSession()
  t.after(() => blocking.endSession())
  blocking.startTransaction()
  await counters.updateOne({ _id: 'a' }, { $inc: { value: 1 } }, { session: blocking })
  let attempt = 0
  const left: Promise<unknown>[] = []
  await inTransaction(
    mongoClient,
    async (session) => {
      const n = ++attempt
      const slow = delay(60).then(() => db.collection('things').insertOne({ n }, { session }))
      left.push(slow)
      if (n === 6) await blocking.commitTransaction()
      // A driver begins a transaction with each command that it sends before the first is answered.
      await counters.findOne({ _id: 'a' }, { session })
      await Promise.all([slow, counters.updateOne({ _id: 'a' }, { $inc: { value: 1 } }, { session })])
    },
    30_000,
  )
  await Promise.allSettled(left)
  const things = await db.collection('things').find().toArray()
  t.strictSame(
    things.map(({ n }) => n),
    [attempt],
  )
})

test('what the transaction of a killed replica holds is free when the replica counts as gone', async (t) => {
  const env = ownNamespace(t)
  const { mongoClient, db } = await startRuntime(t, env)
  await db.createCollection('rows')
  const child = await startProcess(t, 'transacting-process.ts', env)
  await child.killHard()
  const killedAt = Date.now()
  const rows = db.collection<{ _id: string; by: string }>('rows')
  const take = () => inTransaction(mongoClient, (session) => rows.insertOne({ _id: 'a', by: 'another' }, { session }))
  await eventually(() => take().then(Boolean), 20_000)
  const waited = Date.now() - killedAt
  t.ok(waited > 1000, 'it was held')
  t.ok(waited < 8000, `${waited} ms`)
  t.equal((await rows.findOne({ _id: 'a' }))?.by, 'another')
})
