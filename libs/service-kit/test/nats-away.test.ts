import { setTimeout as delay } from 'node:timers/promises'
import { userUpdated } from '@im/contracts/user'
import { isStoreAway, on, type Runtime } from '@im/service-kit'
import { eventually, ownServer, slowProxy } from '@im/service-kit/testing'
import tap, { type Test, test } from 'tap'
import { envelope, handle, ownNamespace, startRuntime, update } from './runtime.ts'

// They wait most of the time, each with servers of its own.
tap.jobs = 4

/** A service that publishes, broadcasts and hears events. */
async function startHearing(t: Test, url: string) {
  const runtime = await startRuntime(t, ownNamespace(t, { NATS_URL: url }))
  const heard: number[] = []
  handle(t, runtime, [on(userUpdated, async ({ userId }) => heard.push(userId))])
  const connection: boolean[] = []
  runtime.bus.onConnection((connected) => connection.push(connected))
  return { runtime, heard, connection }
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

const publish = ({ bus }: Runtime, userId: number) => bus.publish(envelope(userId))
const broadcast = ({ bus }: Runtime) => bus.broadcast(userUpdated, update(1))

async function hearsAgain(t: Test, { runtime, heard }: Awaited<ReturnType<typeof startHearing>>, userId: number) {
  await eventually(() => publish(runtime, userId).then(() => true), 20_000)
  t.ok(await eventually(() => heard.includes(userId), 20_000))
}

test('while connections are refused nothing waits, and what was committed meanwhile comes after the restart', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const service = await startHearing(t, server.url)
  const { runtime, heard, connection } = service
  await server.kill()
  await eventually(() => connection.at(-1) === false)
  const seenLate: boolean[] = []
  runtime.bus.onConnection((connected) => seenLate.push(connected))
  t.strictSame(seenLate, [false], 'who begins to listen now knows it, too')
  t.ok((await failsIn(t, () => publish(runtime, 1))) < 100)
  t.ok((await failsIn(t, () => broadcast(runtime))) < 100)
  await runtime.outbox.commit(async (change) => change.announce(userUpdated, '2', update(2)))
  await server.start()
  await eventually(() => connection.at(-1) === true)
  t.ok(await eventually(() => heard.includes(2), 20_000))
  await hearsAgain(t, service, 3)
})

test('a server that stands still for 20 s counts as a lost connection; afterwards all goes on', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const service = await startHearing(t, server.url)
  const { runtime, heard, connection } = service
  await hearsAgain(t, service, 1)
  server.freeze()
  const frozenAt = Date.now()
  const [publishing, broadcasting] = [failsIn(t, () => publish(runtime, 2)), failsIn(t, () => broadcast(runtime))]
  t.ok((await broadcasting) < 3500)
  t.ok((await publishing) < 4500)
  await eventually(() => connection.at(-1) === false, 12_000)
  t.ok(Date.now() - frozenAt < 10_000, 'who listens for revocations knows that it hears none')
  await runtime.outbox.commit(async (change) => change.announce(userUpdated, '3', update(3)))
  t.ok((await failsIn(t, () => publish(runtime, 4))) < 100)
  await delay(Math.max(0, frozenAt + 20_000 - Date.now()))
  server.thaw()
  await eventually(() => connection.at(-1) === true, 20_000)
  t.ok(await eventually(() => heard.includes(3), 20_000))
  await hearsAgain(t, service, 5)
})

test('from a server that answers slowly publishing takes its time or fails, and it is used again when it is fast', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const proxy = await slowProxy(t, server.url)
  const service = await startHearing(t, proxy.url)
  const { runtime, heard } = service
  await hearsAgain(t, service, 1)
  proxy.delayMs = 500
  await publish(runtime, 2)
  t.ok(await eventually(() => heard.includes(2)))
  proxy.delayMs = 5000
  t.ok((await failsIn(t, () => publish(runtime, 3))) < 4500)
  proxy.delayMs = 0
  await hearsAgain(t, service, 4)
})
