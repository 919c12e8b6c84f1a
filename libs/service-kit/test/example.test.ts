import { readFileSync } from 'node:fs'
import { userRegistered } from '@im/contracts/user'
import { eventPublisher, eventually, failure, recordEvents, startService } from '@im/service-kit/testing'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import { test } from 'tap'
import { noteAdded, notes, service } from '../example/service.ts'
import { natsServers } from '../src/events/nats-servers.ts'

const alice = 10000001

test('the example is a whole service: calls, errors, events in and out', async (t) => {
  const { api, env } = await startService(t, service, { env: { WELCOME_NOTE: 'hello' } })
  const announced = await recordEvents(t, env, noteAdded)
  await api.call(notes.addNote, { text: '买菜' }, { as: alice })
  await t.rejects(api.call(notes.addNote, { text: '买菜' }, { as: alice }), failure('AlreadyCollected'))
  t.strictSame(await api.call(notes.listNotes, {}, { as: alice }), [{ text: '买菜' }])
  await eventually(() => announced.length === 1)
  t.strictSame(announced, [{ userId: alice }], 'what failed announced nothing')

  await eventPublisher(t, env)(userRegistered, 10000002, {
    userId: 10000002,
    nickname: '',
    account: '',
    telephone: '',
    userType: 0,
    defaultFriends: [],
    registeredAt: 1,
  })
  const texts = async () => (await api.call(notes.listNotes, {}, { as: 10000002 })).map(({ text }) => text)
  t.strictSame(await eventually(async () => (await texts()).length > 0 && texts()), ['hello'])
})

test('the example stays short: a new service costs little', (t) => {
  const lines = readFileSync(new URL('../example/service.ts', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  t.ok(lines.length < 60, `${lines.length} lines`)
  t.end()
})

test('a service under test leaves nothing behind on servers that stay', async (t) => {
  let namespace = ''
  await t.test('a test', async (inner) => {
    const { api, env } = await startService(inner, service, { env: { IM_TEST_OWN_SERVERS: '' } })
    namespace = env['NAMESPACE'] ?? ''
    await api.call(notes.addNote, { text: 'x' }, { as: alice })
    inner.equal((await api.call(notes.listNotes, {}, { as: alice })).length, 1)
  })
  const mongo = new MongoClient(process.env['MONGODB_URL'] ?? '')
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const nats = await connect(natsServers(process.env['NATS_URL'] ?? ''))
  t.after(async () => {
    await Promise.all([mongo.close(), nats.close()])
    redis.disconnect()
  })
  const { databases } = await mongo.db('admin').admin().listDatabases({ nameOnly: true })
  t.strictSame(
    databases.map(({ name }) => name).filter((name) => name.startsWith(namespace)),
    [],
  )
  t.strictSame(await redis.keys(`${namespace}:*`), [])
  const manager = await jetstreamManager(nats)
  const streams = await manager.streams.list().next()
  t.strictSame(
    streams.map(({ config }) => config.name).filter((name) => name.startsWith(namespace)),
    [],
  )
})
