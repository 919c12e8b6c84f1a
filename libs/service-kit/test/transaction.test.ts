import { setTimeout as delay } from 'node:timers/promises'
import { contract, type Handlers, Nothing, Text } from '@im/contracts'
import { bindHandlers, createServiceApp, inTransaction, isStoreAway, type Runtime } from '@im/service-kit'
import { createTestClient, eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { readConfig, startRuntime } from './runtime.ts'

const things = contract('org', {
  addThing: {
    path: '/things/add',
    summary: { zh: '添加', en: 'Add' },
    auth: 'none',
    timeoutMs: 500,
    params: Type.Object({ name: Text(), workMs: Text() }),
    result: Nothing,
  },
})

const handlers: Handlers<typeof things, Runtime> = {
  async addThing({ outbox, db }, { params }) {
    await outbox.commit(async ({ session }) => {
      await db.collection('things').insertOne({ name: params.name }, { session })
      await delay(Number(params.workMs))
    })
  },
}

test('nothing is committed of which the caller was told that it failed', async (t) => {
  const runtime = await startRuntime(t)
  const { db, log, metrics } = runtime
  await db.createCollection('things')
  const config = readConfig({ ...process.env, NODE_ENV: 'test' })
  const app = createServiceApp({ handlers: bindHandlers(things, handlers), deps: runtime, config, log, metrics })
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const api = createTestClient({ baseUrl })
  t.after(async () => {
    await api.close()
    await app.close()
  })
  await api.call(things.addThing, { name: 'in time', workMs: '0' })
  await t.rejects(api.call(things.addThing, { name: 'too late', workMs: '900' }), failure('ServiceUnavailable'))
  const leaving = api.call(things.addThing, { name: 'left', workMs: '300' }, { signal: AbortSignal.timeout(100) })
  await t.rejects(leaving)
  await delay(500)
  t.strictSame(
    (await db.collection('things').find().toArray()).map(({ name }) => name),
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
  t.ok(Date.now() - startedAt < 6000)
  await blocking.commitTransaction()
  t.equal(await eventually(async () => (await counters.findOne({ _id: 'a' }))?.value), 1)
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
