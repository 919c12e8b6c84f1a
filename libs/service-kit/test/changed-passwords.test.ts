/** A store that was given another password: services go on without it until they are started with that one. */
import { setTimeout as delay } from 'node:timers/promises'
import { connectRedis, isStoreAway } from '@im/service-kit'
import { eventually, freePort, ownServer } from '@im/service-kit/testing'
import tap, { test } from 'tap'
import { ownNamespace, startProcess } from './runtime.ts'

// They wait most of the time, each with servers of its own.
tap.jobs = 2

/** Whether it fails as it does while the store is away, and never otherwise. */
const isAway = async (work: () => Promise<unknown>) =>
  work().then(
    () => false,
    (error: unknown) => {
      if (!isStoreAway(error)) throw error
      return true
    },
  )

test('NATS, which is said once', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const [before, after] = ['before', 'after'].map((password) => ['--user', 'im', '--pass', password]) as [
    string[],
    string[],
  ]
  await server.kill()
  await server.start(...before)
  const port = String(await freePort())
  const url = server.url.replace('//', '//im:before@')
  const child = await startProcess(
    t,
    'service-process.ts',
    ownNamespace(t, { NATS_URL: url, PORT: port, LOG_LEVEL: 'error' }),
  )
  let output = ''
  child.stdout?.on('data', (text) => {
    output += text
  })
  const refusals = () => output.split('\n').filter((line) => /refuses the user or the password of NATS_URL/.test(line))
  const isReady = () => fetch(`http://127.0.0.1:${port}/readyz`).then(({ ok }) => ok)
  t.ok(await eventually(isReady, 20_000))
  await server.kill()
  await server.start(...after)
  t.ok(await eventually(() => refusals().length === 1, 20_000))
  // The client tries four times a second, and would give up after the second refusal.
  await delay(1500)
  t.equal(refusals().length, 1)
  t.notMatch(output, /before|after/, 'without the passwords')
  t.equal(child.exitCode, null, 'it goes on')
  t.notOk(await isReady())
  await server.kill()
  await server.start(...before)
  t.ok(await eventually(isReady, 20_000))
})

test('Redis', async (t) => {
  const server = await ownServer(t, 'redis')
  if (!server) return
  await server.kill()
  await server.start('--requirepass', 'before')
  const redis = await connectRedis({ url: server.url.replace('//', '//:before@'), namespace: 'kit' })
  t.after(() => redis.disconnect())
  await eventually(() => redis.set('a', 1))
  await server.kill()
  await server.start('--requirepass', 'after')
  const until = Date.now() + 2000
  let tried = 0
  while (Date.now() < until) {
    t.ok(await isAway(() => redis.get('a')))
    tried++
    await delay(5)
  }
  t.ok(tried > 20, 'nobody waits long')
  await server.kill()
  await server.start('--requirepass', 'before')
  t.ok(await eventually(async () => !(await isAway(() => redis.get('a'))), 20_000))
})
