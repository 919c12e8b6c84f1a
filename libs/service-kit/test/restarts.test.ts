import { setTimeout as delay } from 'node:timers/promises'
import { userUpdated } from '@im/contracts/user'
import { exactlyOnce, type Runtime } from '@im/service-kit'
import { eventually, type OwnServer, ownServer, type ServerKind } from '@im/service-kit/testing'
import tap, { type Test, test } from 'tap'
import { handle, ownNamespace, startRuntime } from './runtime.ts'

// They wait most of the time, each with servers of its own.
tap.jobs = 6

const settingOf: Record<ServerKind, string> = { redis: 'REDIS_URL', nats: 'NATS_URL', mongodb: 'MONGODB_URL' }

/** A service that announces numbers and writes down, once each, the numbers it hears. */
async function startNumbers(t: Test, env: Record<string, string>) {
  const runtime: Runtime = await startRuntime(t, env)
  const { db, outbox } = runtime
  const heard = db.collection<{ n: number }>('heard')
  await db.createCollection('announced')
  await db.createCollection('heard')
  const announced = db.collection<{ n: number }>('announced')
  handle(t, runtime, [
    exactlyOnce(userUpdated, async ({ userId }, { session }) => {
      await heard.insertOne({ n: userId }, { session })
    }),
  ])
  return {
    runtime,
    async announce(n: number) {
      await outbox.commit(async (change) => {
        await announced.insertOne({ n }, { session: change.session })
        change.announce(userUpdated, 'numbers', { userId: n, nickname: '', account: '', updatedAt: 1 })
      })
    },
    heard: async () => (await heard.find().sort({ _id: 1 }).toArray()).map(({ n }) => n),
    announced: async () => (await announced.find().sort({ _id: 1 }).toArray()).map(({ n }) => n),
  }
}

/** How a server goes away, and comes back. */
const absences = {
  'was killed': { begin: (server: OwnServer) => server.kill(), end: (server: OwnServer) => server.start() },
  'stood still for 8 s': {
    async begin(server: OwnServer) {
      server.freeze()
      await delay(8000)
    },
    end: async (server: OwnServer) => server.thaw(),
  },
}

for (const kind of ['nats', 'redis', 'mongodb'] as const)
  for (const [absence, { begin, end }] of Object.entries(absences))
    test(`a service goes on by itself after ${kind} ${absence}`, { timeout: 120_000 }, async (t) => {
      const server = await ownServer(t, kind)
      if (!server) return
      const unhandled: unknown[] = []
      const note = (reason: unknown) => unhandled.push(reason)
      process.on('unhandledRejection', note)
      t.after(() => process.off('unhandledRejection', note))
      const service = await startNumbers(t, ownNamespace(t, { [settingOf[kind]]: server.url }))
      let n = 0
      const announceSome = async () => {
        for (let i = 0; i < 20; i++) await service.announce(++n).catch(() => {})
      }
      await announceSome()
      for (let round = 0; round < 2; round++) {
        const during = announceSome()
        await begin(server)
        await t.rejects(service.runtime.ready())
        await end(server)
        await during
        await eventually(() => service.runtime.ready().then(() => true), 20_000)
        await eventually(() => service.announce(++n).then(() => true), 20_000)
        const backAt = Date.now()
        await eventually(async () => (await service.heard()).includes(n), 20_000)
        t.comment(`an event arrived after ${Date.now() - backAt} ms`)
      }
      await eventually(async () => (await service.heard()).length >= (await service.announced()).length, 20_000)
      t.strictSame(await service.heard(), await service.announced(), 'each change was heard once and in order')
      t.strictSame(unhandled, [])
    })

test('a service ends in time while NATS is away', { timeout: 30_000 }, async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const service = await startNumbers(t, ownNamespace(t, { NATS_URL: server.url }))
  await server.kill()
  await eventually(() =>
    service.runtime.bus
      .broadcast(userUpdated, { userId: 1, nickname: '', account: '', updatedAt: 1 })
      .then(() => false)
      .catch(() => true),
  )
  const startedAt = Date.now()
  await service.runtime.close()
  t.ok(Date.now() - startedAt < 5000)
})

test('a NATS server that lost its disk gets its streams and consumers back', { timeout: 60_000 }, async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const service = await startNumbers(t, ownNamespace(t, { NATS_URL: server.url }))
  await service.announce(1)
  await eventually(async () => (await service.heard()).length === 1)
  await server.kill()
  await server.erase()
  await server.start()
  await service.announce(2)
  t.ok(await eventually(async () => (await service.heard()).includes(2), 20_000))
})
