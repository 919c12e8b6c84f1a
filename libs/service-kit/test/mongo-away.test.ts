import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { connectMongo, createMetrics, isStoreAway } from '@im/service-kit'
import { eventually, type OwnServer, ownServer, slowProxy } from '@im/service-kit/testing'
import type { Collection } from 'mongodb'
import { type Test, test } from 'tap'

interface Thing {
  _id: number
}

async function open(t: Test, url: string) {
  const metrics = createMetrics('kit')
  const mongo = await connectMongo({ url, namespace: 'kit', service: 'kit', metrics })
  t.after(() => mongo.close())
  await mongo.db.createCollection('things')
  return { ...mongo, metrics, things: mongo.db.collection<Thing>('things') }
}

/** The ids of those that failed, and how long (ms) the last of them took. All must have failed because the store is away. */
async function insertAll(t: Test, things: Collection<Thing>, ids: readonly number[]) {
  const startedAt = performance.now()
  const failed: number[] = []
  const errors = new Set<unknown>()
  await Promise.all(
    ids.map((_id) =>
      things.insertOne({ _id }).catch((error: unknown) => {
        failed.push(_id)
        if (!isStoreAway(error)) errors.add(error)
      }),
    ),
  )
  t.strictSame([...errors], [])
  return { failed, took: performance.now() - startedAt }
}

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n)

const isBack = (things: Collection<Thing>) =>
  eventually(
    () => things.insertOne({ _id: Date.now() * 1000 + Math.floor(Math.random() * 1000) }).then(() => true),
    20_000,
  )

test('while connections are refused operations fail in time, and work again after the restart', async (t) => {
  const server = await ownServer(t, 'mongodb')
  if (!server) return
  const { things } = await open(t, server.url)
  await server.kill()
  const { failed, took } = await insertAll(t, things, numbers(1, 200))
  t.equal(failed.length, 200)
  t.ok(took < 5000, `${took} ms`)
  await server.start()
  await isBack(things)
})

test('while the server stands still for 20 s operations fail in time; of those that failed only what it had received is done', async (t) => {
  const server = (await ownServer(t, 'mongodb')) as OwnServer | undefined
  if (!server) return
  const { things, metrics, isOverloaded } = await open(t, server.url)
  await insertAll(t, things, numbers(1, 200))
  server.freeze()
  const frozenAt = Date.now()
  const first = insertAll(t, things, numbers(1000, 1000))
  await delay(200)
  t.ok(isOverloaded())
  t.match(await metrics.metrics(), /im_mongodb_waiting\{service="kit"\} 9\d\d/)
  const { failed, took } = await first
  t.equal(failed.length, 1000)
  t.ok(took < 9000, `${took} ms`)
  t.notOk(isOverloaded())
  while (Date.now() < frozenAt + 20_000) {
    const later = await insertAll(t, things, [Date.now()])
    t.ok(later.took < 4000, `${later.took} ms`)
  }
  server.thaw()
  await isBack(things)
  await delay(1000)
  const late = await things.countDocuments({ _id: { $gte: 1000, $lt: 2000 } })
  t.ok(late <= 50, `${late} of 1000 were done although they failed`)
})

test('from a server that answers slowly what can be had in time is had, the others fail', async (t) => {
  const server = await ownServer(t, 'mongodb')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const { things } = await open(t, proxy.url)
  await insertAll(t, things, numbers(1, 100))
  proxy.delayMs = 1000
  const { failed, took } = await insertAll(t, things, numbers(1000, 500))
  t.ok(took < 8000, `${took} ms`)
  t.ok(failed.length > 100 && failed.length < 500, `${failed.length} failed`)
  proxy.delayMs = 0
  await isBack(things)
})

test('an operation that begins when its connection has just been closed is done or fails', async (t) => {
  const { hostname, port } = new URL(process.env['MONGODB_URL'] ?? '')
  const sockets = new Set<Socket>()
  const server = createServer((inner) => {
    const outer = connect(Number(port), hostname).on('error', () => {})
    sockets.add(inner)
    inner
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(inner)
        outer.destroy()
      })
    inner.pipe(outer).pipe(inner)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { things } = await open(
    t,
    `mongodb://127.0.0.1:${(server.address() as AddressInfo).port}/?directConnection=true`,
  )
  const waiting = new Set<Promise<unknown>>()
  const ask = () => {
    const asking: Promise<unknown> = things.findOne({ _id: 1 }).catch(() => {})
    waiting.add(asking)
    return asking.finally(() => waiting.delete(asking))
  }
  for (let round = 0; round < 50; round++) {
    await Promise.all(numbers(0, 20).map(ask))
    for (const socket of sockets) socket.end()
    // One of these turns lies between the end of a socket and the event that tells of it.
    for (let turns = 0; turns < 8; turns++) {
      void ask()
      await turn()
    }
  }
  t.ok(await eventually(() => waiting.size === 0, 15_000), `${waiting.size} wait for ever`)
})
