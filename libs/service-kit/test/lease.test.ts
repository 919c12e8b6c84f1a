import { connectRedis, createLogger, holdLease } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { ownNamespace } from './runtime.ts'

const log = createLogger({ service: 'kit', level: 'silent', format: 'json' })
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

async function openRedis(t: Test, url: string, namespace: string) {
  const redis = await connectRedis({ url, namespace })
  t.after(() => redis.disconnect())
  return redis
}

test('one of several replicas works, and another takes over when it ends', async (t) => {
  const env = ownNamespace(t)
  const redis = await openRedis(t, env['REDIS_URL'] ?? '', env['NAMESPACE'] ?? '')
  let working = 0
  let most = 0
  const starts: number[] = []
  const replicas = [0, 1, 2].map((index) =>
    holdLease({
      redis,
      name: 'a',
      ttl: 600,
      log,
      async work(signal) {
        starts.push(index)
        most = Math.max(most, ++working)
        await untilAborted(signal)
        working--
      },
    }),
  )
  t.after(() => Promise.all(replicas.map((replica) => replica.close())))
  await eventually(() => starts.length === 1)
  const holder = replicas.find((replica) => replica.held)
  t.equal(replicas.filter((replica) => replica.held).length, 1)
  await holder?.close()
  t.equal(holder?.held, false)
  await eventually(() => starts.length === 2, 3000)
  t.equal(most, 1)
})

test('the lease of a replica that dies is free after its time', async (t) => {
  const env = ownNamespace(t)
  const dying = await openRedis(t, env['REDIS_URL'] ?? '', env['NAMESPACE'] ?? '')
  const living = await openRedis(t, env['REDIS_URL'] ?? '', env['NAMESPACE'] ?? '')
  let stopped = 0
  const first = holdLease({
    redis: dying,
    name: 'a',
    ttl: 800,
    log,
    work: async (signal) => {
      await untilAborted(signal)
      stopped = Date.now()
    },
  })
  await eventually(() => first.held)
  let taken = 0
  const second = holdLease({
    redis: living,
    name: 'a',
    ttl: 800,
    log,
    work: async (signal) => {
      taken = Date.now()
      await untilAborted(signal)
    },
  })
  t.after(() => Promise.all([first.close(), second.close()]))
  dying.disconnect()
  await eventually(() => taken > 0, 5000)
  t.ok(stopped && stopped <= taken, 'the first stopped before the second began')
})

test('closing while the lease is being won ends', async (t) => {
  const env = ownNamespace(t)
  const redis = await openRedis(t, env['REDIS_URL'] ?? '', env['NAMESPACE'] ?? '')
  for (let n = 0; n < 20; n++)
    await t.resolves(holdLease({ redis, name: `b${n}`, ttl: 500, log, work: untilAborted }).close())
})

test('a cache that is killed and comes back empty gives the lease to one again', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const redis = await openRedis(t, server.url, 'x')
  let working = 0
  let most = 0
  const work = async (signal: AbortSignal) => {
    most = Math.max(most, ++working)
    await untilAborted(signal)
    working--
  }
  const replicas = [0, 1].map(() => holdLease({ redis, name: 'a', ttl: 700, log, work }))
  t.after(() => Promise.all(replicas.map((replica) => replica.close())))
  await eventually(() => working === 1)
  await server.kill()
  await eventually(() => working === 0, 5000)
  await server.start()
  await eventually(() => working === 1, 5000)
  t.equal(most, 1)
})
