import { setTimeout as delay } from 'node:timers/promises'
import { configChanged } from '@im/contracts/user'
import { FollowedValue } from '@im/service-kit'
import { eventually, ownServer } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { ownNamespace, startRuntime } from './runtime.ts'

const change = { changed: ['x'], at: 1 }

/** A value of another service. `read` may be replaced. */
async function follow(t: Test, env = ownNamespace(t)) {
  const { bus, log } = await startRuntime(t, env)
  const owner = { value: 'first', reads: 0, read: async () => owner.value }
  const followed = new FollowedValue({
    read: () => {
      owner.reads++
      return owner.read()
    },
    changed: configChanged,
    bus,
    log,
  })
  t.after(() => followed.close())
  return { owner, followed, bus }
}

test('a change that is told is known at once, also when it happens while the value is read', async (t) => {
  const { owner, followed, bus } = await follow(t)
  t.equal(await followed.get(), 'first')
  owner.value = 'second'
  await bus.broadcast(configChanged, change)
  await eventually(() => followed.current === 'second', 2000)
  let answer: () => void = () => {}
  owner.read = async () => {
    const { value } = owner
    await new Promise<void>((resolve) => {
      answer = resolve
    })
    return value
  }
  const { reads } = owner
  await bus.broadcast(configChanged, change)
  await eventually(() => owner.reads > reads)
  owner.value = 'third'
  await bus.broadcast(configChanged, change)
  await delay(100)
  owner.read = async () => owner.value
  answer()
  t.ok(await eventually(() => followed.current === 'third', 2000))
})

test('what changed while there was no connection is known soon after it is back', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const { owner, followed, bus } = await follow(t, ownNamespace(t, { NATS_URL: server.url }))
  await followed.get()
  await server.kill()
  await server.start()
  // Just read, so the next look is five seconds away.
  await eventually(async () => bus.ping().then(() => true))
  await eventually(() => owner.reads >= 2, 2000)
  t.ok(owner.reads >= 2)
})

test('while the owner is away the last known value counts, and it is asked again in its own time', async (t) => {
  const { owner, followed } = await follow(t)
  await followed.get()
  owner.read = () => Promise.reject(new Error('away'))
  await eventually(() => owner.reads >= 2, 8000)
  t.equal(await followed.get(), 'first')
  t.equal(followed.current, 'first')
})

test('many who ask while nothing is known leave no timers behind; closed, it asks nobody any more', async (t) => {
  const { owner, followed } = await follow(t)
  owner.read = () => Promise.reject(new Error('away'))
  await followed.close()
  const { bus, log } = await startRuntime(t)
  let reads = 0
  const unknown = new FollowedValue({
    read: async () => {
      reads++
      throw new Error('away')
    },
    changed: configChanged,
    bus,
    log,
  })
  for (let n = 0; n < 20; n++) await t.rejects(unknown.get(), { message: 'away' })
  await unknown.close()
  const before = reads + owner.reads
  await delay(5500)
  t.equal(reads + owner.reads, before)
})
