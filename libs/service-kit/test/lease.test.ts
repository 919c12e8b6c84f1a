import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { holdLease, type Runtime } from '@im/service-kit'
import { eventually, ownServer, slowProxy } from '@im/service-kit/testing'
import tap, { type Test, test } from 'tap'
import { ownNamespace, startProcess, startRuntime } from './runtime.ts'

// They wait most of the time, each with servers of its own.
tap.jobs = 4

/** Work that lasts until it is told to end, and how many of it were at once. */
function countedWork() {
  const count = {
    working: 0,
    most: 0,
    starts: 0,
    async work(signal: AbortSignal) {
      count.starts++
      count.most = Math.max(count.most, ++count.working)
      if (!signal.aborted) await once(signal, 'abort')
      count.working--
    },
  }
  return count
}

function hold(t: Test, runtime: Runtime, work: (signal: AbortSignal) => Promise<void>) {
  const lease = holdLease(runtime, { name: 'a', work })
  t.after(() => lease.close())
  return lease
}

test('one of several replicas works, and another takes over at once when it ends', async (t) => {
  const env = ownNamespace(t)
  const count = countedWork()
  const leases = []
  for (let n = 0; n < 3; n++) leases.push(hold(t, await startRuntime(t, env), count.work))
  await eventually(() => count.starts === 1)
  const holder = leases.find(({ held }) => held)
  t.equal(leases.filter(({ held }) => held).length, 1)
  const endedAt = Date.now()
  await holder?.close()
  t.equal(holder?.held, false)
  await eventually(() => count.starts === 2)
  t.ok(Date.now() - endedAt < 1500)
  t.equal(count.most, 1)
})

test('of several replicas that take over at once one works', async (t) => {
  const env = ownNamespace(t)
  const runtimes = await Promise.all(Array.from({ length: 8 }, () => startRuntime(t, env)))
  await runtimes[0]?.db.collection<{ _id: string }>('leases').insertOne({ _id: 'a', owner: 'gone' } as never)
  const count = countedWork()
  for (const runtime of runtimes) hold(t, runtime, count.work)
  await eventually(() => count.starts > 0)
  await delay(1000)
  t.equal(count.most, 1)
})

test('a replica whose beats are told late does not trust them longer than others do', async (t) => {
  const proxy = await slowProxy(t, process.env['MONGODB_URL'] ?? '')
  const { replicas } = await startRuntime(t, ownNamespace(t, { MONGODB_URL: proxy.url }))
  t.ok(replicas.isAlive)
  // Others see a beat when it is written, and take over after three seconds.
  proxy.delayMs = 2700
  await eventually(() => !replicas.isAlive)
  for (const endAt = Date.now() + 4000; Date.now() < endAt; await delay(20)) if (replicas.isAlive) break
  t.notOk(replicas.isAlive)
  proxy.delayMs = 0
  await eventually(() => replicas.isAlive)
})

test('two leases of one service are held beside each other', async (t) => {
  const runtime = await startRuntime(t)
  const count = countedWork()
  for (const name of ['a', 'b']) {
    const lease = holdLease(runtime, { name, work: count.work })
    t.after(() => lease.close())
  }
  t.ok(await eventually(() => count.working === 2))
})

test('work that fails is tried again', async (t) => {
  const runtime = await startRuntime(t)
  let tries = 0
  hold(t, runtime, async () => {
    if (++tries < 3) throw new Error('not yet')
  })
  t.ok(await eventually(() => tries >= 3))
})

test('closing while the lease is being won ends', async (t) => {
  const runtime = await startRuntime(t)
  for (let n = 0; n < 20; n++) await holdLease(runtime, { name: `b${n}`, work: countedWork().work }).close()
  t.equal(await runtime.db.collection('leases').countDocuments({ _id: /^b/ as never }), 0)
})

for (const signal of ['SIGKILL', 'SIGSTOP'] as const)
  test(`the lease of a replica that gets ${signal} goes to another, and is never held twice`, async (t) => {
    const env = ownNamespace(t)
    const child = await startProcess(t, 'leasing-process.ts', env)
    child.kill(signal)
    const runtime = await startRuntime(t, env)
    const count = countedWork()
    hold(t, runtime, count.work)
    const stoppedAt = Date.now()
    await eventually(() => count.working === 1, 10_000)
    t.ok(Date.now() - stoppedAt < 5000)
    if (signal === 'SIGKILL') return
    const said: string[] = []
    child.stdout?.on('data', (text) => said.push(String(text).trim()))
    child.kill('SIGCONT')
    await eventually(() => said.includes('lost'))
    await delay(1500)
    t.strictSame(said, ['lost'])
    t.equal(count.working, 1)
  })

for (const away of ['killed', 'frozen'] as const)
  test(`while the database is ${away} nobody works; when it is back one does`, async (t) => {
    const server = await ownServer(t, 'mongodb')
    if (!server) return
    const env = ownNamespace(t, { MONGODB_URL: server.url })
    const count = countedWork()
    for (let n = 0; n < 2; n++) hold(t, await startRuntime(t, env), count.work)
    await eventually(() => count.working === 1)
    if (away === 'killed') await server.kill()
    else server.freeze()
    await eventually(() => count.working === 0, 5000)
    await delay(3000)
    t.equal(count.starts, 1)
    if (away === 'killed') await server.start()
    else server.thaw()
    await eventually(() => count.working === 1, 30_000)
    t.equal(count.most, 1)
  })
