import { connectRedis, createLogger, createMetrics, type Limit, OptionalRedis, RateCounters } from '@im/service-kit'
import { eventually, failure, ownServer } from '@im/service-kit/testing'
import { type Test, test } from 'tap'

const log = createLogger({ service: 'kit', level: 'silent', format: 'json' })

/** Counters on a Redis of the test's environment, or of its own, as one replica has them. */
async function openCounters(t: Test, options: { url?: string; namespace?: string; factor?: number } = {}) {
  const { url = process.env['REDIS_URL'] ?? '', namespace = `limits-${Math.random().toString(36).slice(2)}` } = options
  const clock = { now: 1_000_000 }
  const redis = await connectRedis({ url, namespace })
  t.after(() => redis.disconnect())
  const replica = async () => {
    const metrics = createMetrics('kit')
    const optional = new OptionalRedis({ redis, log, metrics })
    return new RateCounters({ redis: optional, factor: options.factor ?? 1, now: () => clock.now, metrics })
  }
  return { counters: await replica(), other: await replica(), clock, redis }
}

const limit = (key: string, max = 3, seconds = 60): Limit => ({ key: `test:${key}`, max, seconds })

async function takes(counters: RateCounters, count: number, ...limits: Limit[]): Promise<number> {
  const refusals = await Promise.all(Array.from({ length: count }, () => counters.take(...limits)))
  return refusals.filter((refusal) => refusal === undefined).length
}

test('a window takes as many as it holds, over all replicas and at the same time', async (t) => {
  const { counters, other } = await openCounters(t)
  const taken = await Promise.all([takes(counters, 20, limit('a', 7)), takes(other, 20, limit('a', 7))])
  t.equal(taken[0] + taken[1], 7)
  const refusal = await counters.take(limit('a', 7))
  t.ok(refusal && refusal.waitSeconds > 0 && refusal.waitSeconds <= 60)
  t.equal(await takes(counters, 1, limit('b', 7)), 1, 'another key has a window of its own')
})

test('a window ends, and the next one begins with the next count', async (t) => {
  const { counters, clock } = await openCounters(t)
  t.equal(await takes(counters, 5, limit('a', 2, 1)), 2)
  await new Promise((resolve) => setTimeout(resolve, 1100))
  clock.now += 1100
  t.equal(await takes(counters, 5, limit('a', 2, 1)), 2)
})

test('a window is not made longer by later counts', async (t) => {
  const { counters } = await openCounters(t)
  t.equal(await takes(counters, 1, limit('a', 3, 1)), 1)
  await new Promise((resolve) => setTimeout(resolve, 700))
  t.equal(await takes(counters, 1, limit('a', 3, 1)), 1)
  await new Promise((resolve) => setTimeout(resolve, 400))
  t.equal(await takes(counters, 9, limit('a', 3, 1)), 3)
})

test('a block has as many as the window has room for', async (t) => {
  const { counters, other } = await openCounters(t)
  t.equal(await counters.takeBlock(limit('a', 5), 3), 3)
  t.equal(await other.takeBlock(limit('a', 5), 3), 2)
  t.match(await counters.takeBlock(limit('a', 5), 3), { full: { key: 'test:a' } })
  t.equal(await counters.takeBlock(limit('b', 5), 4, 4), 4)
  t.match(await counters.takeBlock(limit('b', 5), 2, 2), { full: { key: 'test:b' } })
  t.equal(await takes(counters, 3, limit('b', 5)), 1, 'where there is no room for two there may be for one')
})

test('several limits are taken all or none', async (t) => {
  const { counters, other } = await openCounters(t)
  await takes(counters, 3, limit('full'))
  const refusal = await other.take(limit('free'), limit('full'), limit('more'))
  t.equal(refusal?.full.key, 'test:full')
  t.equal(await takes(other, 9, limit('free')), 3)
  t.equal(await takes(other, 9, limit('more')), 3)
})

test('what is given back or cleared is free again, and never more than that', async (t) => {
  const { counters, other, clock } = await openCounters(t)
  await takes(counters, 3, limit('a'))
  t.equal(await takes(other, 1, limit('a')), 0)
  await counters.giveBack(limit('a'))
  clock.now += 1001 // the other replica remembers for a second that it is full
  t.equal(await takes(other, 5, limit('a')), 1)
  await counters.giveBack(limit('a'), limit('never taken'))
  await counters.giveBack(limit('never taken'))
  t.equal(await takes(counters, 5, limit('never taken')), 3)
  await counters.clear(limit('a'))
  t.equal(await takes(counters, 5, limit('a')), 3)
})

test('a cause counts once in a window, whoever counts it again', async (t) => {
  const { counters, other, clock } = await openCounters(t)
  for (const each of [counters, other, counters]) t.equal(await each.takeOnce(limit('a', 2, 1), 'first'), undefined)
  t.equal(await other.takeOnce(limit('a', 2, 1), 'second'), undefined)
  t.match(await counters.takeOnce(limit('a', 2, 1), 'third'), { full: { key: 'test:a' }, waitSeconds: 1 })
  t.equal(await counters.takeOnce(limit('a', 2, 1), 'first'), undefined, 'it is counted')
  await other.giveBackOnce(limit('a', 2, 1), 'second')
  t.equal(await counters.takeOnce(limit('a', 2, 1), 'third'), undefined)
  t.ok(await other.takeOnce(limit('a', 2, 1), 'second'))
  await new Promise((resolve) => setTimeout(resolve, 1100))
  clock.now += 1100
  t.equal(await other.takeOnce(limit('a', 2, 1), 'second'), undefined, 'the next window')
})

test('LIMIT_FACTOR multiplies limits, tries of codes only up to their cap; 0 switches limits off', async (t) => {
  const five = (await openCounters(t, { factor: 5 })).counters
  t.equal(await takes(five, 30, limit('a')), 15)
  t.equal(five.scaled(5, 10), 10)
  const off = (await openCounters(t, { factor: 0 })).counters
  t.equal(await takes(off, 30, limit('a')), 30)
  const small = (await openCounters(t, { factor: 0.01 })).counters
  t.equal(await takes(small, 30, limit('a')), 1)
})

test('who reached a limit is told how long to wait', async (t) => {
  const { counters } = await openCounters(t)
  await takes(counters, 3, limit('a', 3, 600))
  await t.rejects(counters.demand('RateLimited', limit('a', 3, 600)), failure('RateLimited'))
  const error = await counters.demand('LoginTooOften', limit('a', 3, 600)).catch((thrown: unknown) => thrown)
  t.match(error, { errorName: 'LoginTooOften', args: [10] })
})

test('keys may be long and hold anything', async (t) => {
  const { counters } = await openCounters(t)
  const long = 'x'.repeat(100_000)
  t.equal(await takes(counters, 5, limit(`${long}1`)), 3)
  t.equal(await takes(counters, 5, limit(`${long}2`)), 3)
  t.equal(await takes(counters, 5, limit('{a}b}')), 3)
})

for (const way of ['killed', 'standing still'] as const)
  test(`while Redis is ${way} limits are counted in the process, and nobody waits`, async (t) => {
    const server = await ownServer(t, 'redis')
    if (!server) return
    const { counters, clock } = await openCounters(t, { url: server.url })
    t.equal(await takes(counters, 2, limit('a')), 2)
    if (way === 'killed') await server.kill()
    else server.freeze()
    await counters.take(limit('first'))
    const startedAt = performance.now()
    t.equal(await takes(counters, 9, limit('a'), limit('b')), 3, 'a new window of this process')
    t.equal(await takes(counters, 9, limit('b')), 0)
    await counters.giveBack(limit('a'), limit('b'))
    t.equal(await takes(counters, 9, limit('a'), limit('b')), 1)
    t.equal(await takes(counters, 9, limit('full')), 3)
    t.equal(await takes(counters, 1, limit('free'), limit('full')), 0)
    t.equal(await takes(counters, 9, limit('free')), 3, 'all or none')
    for (const cause of ['first', 'first', 'second']) t.notOk(await counters.takeOnce(limit('once', 2), cause))
    t.match(await counters.takeOnce(limit('once', 2), 'third'), { full: { key: 'test:once' } })
    await counters.giveBackOnce(limit('once', 2), 'first')
    t.notOk(await counters.takeOnce(limit('once', 2), 'third'))
    t.equal(await counters.takeBlock(limit('block', 5), 9), 5)
    t.match(await counters.takeBlock(limit('block', 5), 9), { full: { key: 'test:block' } })
    t.ok(performance.now() - startedAt < 300)
    clock.now += 61_000
    t.equal(await takes(counters, 9, limit('a')), 3, 'windows end there too')
  })

test('a Redis that takes no writes counts as away', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  const { counters, redis } = await openCounters(t, { url: server.url })
  for (const [setting, full, normal] of [
    ['maxmemory', '1', '0'],
    ['min-replicas-to-write', '1', '0'],
  ] as const) {
    await eventually(() => redis.config('SET', setting, full))
    t.equal(await takes(counters, 9, limit(setting)), 3, 'counted in the process')
    await eventually(() => redis.config('SET', setting, normal))
    await eventually(
      async () =>
        (await takes(counters, 1, limit(`again ${setting}`))) && (await redis.exists(`limit:test:again ${setting}`)),
    )
  }
})

test('a clock that is set back makes nobody wait', async (t) => {
  const redis = await connectRedis({ url: process.env['REDIS_URL'] ?? '', namespace: `limits-${Math.random()}` })
  t.after(() => redis.disconnect())
  const metrics = createMetrics('kit')
  const counters = new RateCounters({ redis: new OptionalRedis({ redis, log, metrics }), factor: 1, metrics })
  t.equal(await takes(counters, 2, limit('a', 1, 1)), 1)
  const now = Date.now
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() - 3_600_000
  await new Promise((resolve) => setTimeout(resolve, 1100))
  t.equal(await takes(counters, 1, limit('a', 1, 1)), 1)
})
