import { setTimeout as delay } from 'node:timers/promises'
import { connectRedis, createLogger, createMetrics, isStoreAway, OptionalRedis, type Redis } from '@im/service-kit'
import { eventually, ownServer, slowProxy } from '@im/service-kit/testing'
import { type Test, test } from 'tap'

const log = createLogger({ service: 'kit', level: 'silent', format: 'json' })

async function open(t: Test, url: string): Promise<Redis> {
  const redis = await connectRedis({ url, namespace: 'kit' })
  t.after(() => redis.disconnect())
  return redis
}

/** With `a` set to 1. Beside others the first connection may be too slow, and the next one is taken. */
async function openWithValue(t: Test, url: string): Promise<Redis> {
  const redis = await open(t, url)
  await eventually(() => redis.set('a', 1))
  return redis
}

/** How long (ms) `work` takes to fail, which must be because the store is away. */
async function failsIn(t: Test, work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  t.ok(isStoreAway(error), String(error))
  return performance.now() - startedAt
}

/** Nobody waits long, and after the first hardly at all. */
async function failsFast(t: Test, redis: Redis): Promise<void> {
  t.ok((await failsIn(t, () => redis.get('a'))) < 600, 'the first caller waits for a few hundred milliseconds')
  const slowestOfMany = async () =>
    Math.max(...(await Promise.all(Array.from({ length: 100 }, () => failsIn(t, () => redis.incr('n'))))))
  // Other work of the machine may disturb some of them.
  await t.resolves(
    eventually(async () => (await slowestOfMany()) < 100),
    'those after it hardly wait',
  )
  t.ok(redis.isAway)
}

const isBack = (redis: Redis) => eventually(() => redis.get('a').then((value) => value === '1'), 30_000)

test('while connections are refused commands fail at once, and work again after the restart', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const redis = await openWithValue(t, server.url)
  await server.kill()
  await failsFast(t, redis)
  await server.start()
  await eventually(() => redis.set('a', 1))
  await isBack(redis)
})

test('while the server stands still for 20 s commands fail at once; what failed while it was known to be away is not done later', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const redis = await openWithValue(t, server.url)
  server.freeze()
  await failsFast(t, redis)
  // Long enough for the client to give its connection up and to wait for another.
  for (const endAt = Date.now() + 20_000; Date.now() < endAt; await delay(250))
    t.ok((await failsIn(t, () => redis.incr('n'))) < 600)
  server.thaw()
  await isBack(redis)
  t.equal(await redis.get('n'), null)
})

test('a server that answers slowly is away, and back when it is fast again', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const redis = await openWithValue(t, proxy.url)
  proxy.delayMs = 2000
  await failsFast(t, redis)
  proxy.delayMs = 0
  await isBack(redis)
})

test('a command that failed while a new connection was slow is not sent when it is open', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const redis = await openWithValue(t, proxy.url)
  proxy.delayMs = 600
  redis.disconnect(true)
  await failsIn(t, () => redis.incr('n'))
  proxy.delayMs = 0
  await isBack(redis)
  t.equal(await redis.get('n'), null)
})

test('a command that is refused takes no answer from those that are sent with it', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const redis = await openWithValue(t, proxy.url)
  await redis.set('b', 2)
  proxy.delayMs = 2000
  await failsFast(t, redis)
  // At the same moment as the client itself asks whether the server is back.
  const mixed = await Promise.allSettled([redis.get('a'), redis.ping(), redis.get('b')])
  t.ok(mixed.every(({ status }) => status === 'rejected'))
  proxy.delayMs = 0
  await isBack(redis)
  t.strictSame(await Promise.all([redis.get('b'), redis.get('a'), redis.get('b')]), ['2', '1', '2'])
})

test("the answer of a script that is wrong is the caller's own error", async (t) => {
  const redis = await openWithValue(t, process.env['REDIS_URL'] ?? '')
  const error = await redis.eval('return nothing()', 0).catch((thrown: unknown) => thrown)
  t.match(error, { message: /nothing/ })
  t.notOk(isStoreAway(error))
  t.notOk(redis.isAway)
})

test('a service starts without Redis and uses it when it comes', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  await server.kill()
  const redis = await open(t, server.url)
  t.ok(redis.isAway)
  await server.start()
  await eventually(() => redis.set('a', 1).then(() => true))
  await isBack(redis)
})

test('wrong credentials stop the start', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const redis = await openWithValue(t, server.url)
  await redis.config('SET', 'requirepass', 'secret')
  await t.rejects(connectRedis({ url: server.url, namespace: 'kit' }), { message: /NOAUTH/ })
  const wrong = server.url.replace('redis://', 'redis://:wrong@')
  await t.rejects(connectRedis({ url: wrong, namespace: 'kit' }), { message: /WRONGPASS/ })
})

test('what can do without Redis goes on without it', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const metrics = createMetrics('kit')
  const redis = await openWithValue(t, server.url)
  const optional = new OptionalRedis({ redis, log, metrics })
  const read = () => optional.ask((connected) => connected.get('a'))
  t.equal(await read(), '1')
  server.freeze()
  t.equal(await read(), undefined)
  const startedAt = performance.now()
  t.equal(await read(), undefined)
  t.ok(performance.now() - startedAt < 50)
  t.match(await metrics.metrics(), /im_without_redis_total\{service="kit"\} 2/)
  server.thaw()
  await eventually(async () => (await read()) === '1')
  await t.rejects(
    optional.ask((connected) => connected.hget('a', 'field')),
    { message: /WRONGTYPE/ },
  )
})
