import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type EventEnvelope, type Payload } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import { on } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { test } from 'tap'
import { ownNamespace, startRuntime } from './runtime.ts'

type Update = Payload<typeof userUpdated>
const envelope = (id: string, userId: number): EventEnvelope<Update> => ({
  id,
  name: userUpdated.name,
  at: Date.now(),
  aggregate: 'a',
  data: { userId, nickname: '', account: '', updatedAt: 1 },
})

test('events come in order, and one published twice comes once', async (t) => {
  const { bus } = await startRuntime(t)
  const heard: number[] = []
  await bus.publish(envelope('e0', 0))
  await bus.subscribe([on(userUpdated, async ({ userId }) => void heard.push(userId))])
  for (let n = 1; n < 50; n++) await bus.publish(envelope(`e${n}`, n))
  await bus.publish(envelope('e7', 7))
  await bus.publish(envelope('last', 50))
  await eventually(() => heard.length > 50)
  t.strictSame(heard, [...Array(51).keys()])
})

test('a handler that fails is tried again before the next event, a poison event is put aside', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  const heard: number[] = []
  let left = 2
  await bus.subscribe([
    on(
      userUpdated,
      async ({ userId }) => {
        heard.push(userId)
        if (userId === 1 && left-- > 0) throw new Error('not yet')
        if (userId === 2) throw new Error('poison')
      },
      { attempts: 3 },
    ),
  ])
  for (const n of [1, 2, 3]) await bus.publish(envelope(`e${n}`, n))
  await eventually(() => heard.includes(3))
  t.strictSame(heard, [1, 1, 1, 2, 2, 2, 3])
  const connection = await connect({ servers: env['NATS_URL'] ?? '' })
  t.after(() => connection.close())
  const dead = await (await jetstreamManager(connection)).streams.getMessage(`${env['NAMESPACE']}_dead`, {
    last_by_subj: `${env['NAMESPACE']}.dead.kit.${userUpdated.name}`,
  })
  t.equal(dead?.json<EventEnvelope>().id, 'e2')
})

test('while a store or another service is away an event waits, and is never put aside', async (t) => {
  const { bus } = await startRuntime(t)
  let tries = 0
  let done = false
  await bus.subscribe([
    on(
      userUpdated,
      async () => {
        if (++tries < 4) throw new ContractError('ServiceUnavailable')
        done = true
      },
      { attempts: 1 },
    ),
  ])
  await bus.publish(envelope('e1', 1))
  await eventually(() => done)
  t.equal(tries, 4)
})

test('what is no JSON is put aside and stops nothing', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  const heard: number[] = []
  const connection = await connect({ servers: env['NATS_URL'] ?? '' })
  t.after(() => connection.close())
  await jetstream(connection).publish(`${env['NAMESPACE']}.${userUpdated.name}`, 'no JSON')
  await bus.subscribe([on(userUpdated, async ({ userId }) => void heard.push(userId))])
  await bus.publish(envelope('e1', 1))
  await eventually(() => heard.length === 1)
  t.strictSame(heard, [1])
})

test('replicas share a consumer: each event goes to one of them, in order', async (t) => {
  const env = ownNamespace(t)
  const replicas = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard: number[] = []
  for (const { bus } of replicas) await bus.subscribe([on(userUpdated, async ({ userId }) => void heard.push(userId))])
  for (let n = 0; n < 40; n++) await replicas[0]?.bus.publish(envelope(`e${n}`, n))
  await eventually(() => heard.length >= 40)
  t.strictSame(heard, [...Array(40).keys()])
})

test('an event in the hands of a consumer that is killed comes again within seconds', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  for (const n of [1, 2]) await bus.publish(envelope(`e${n}`, n))
  const child = spawn(process.execPath, [join(import.meta.dirname, 'stuck-consumer-process.ts')], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const heard: number[] = []
  await bus.subscribe([on(userUpdated, async ({ userId }) => void heard.push(userId))])
  await eventually(() => heard.length === 2, 8000)
  t.strictSame(heard, [1, 2])
})

test('closing waits for the event in work and hands back the others', async (t) => {
  const env = ownNamespace(t)
  const { bus } = await startRuntime(t, env)
  const leaving = await startRuntime(t, env)
  const handled: number[] = []
  const subscription = await leaving.bus.subscribe([
    on(userUpdated, async ({ userId }) => {
      await delay(200)
      handled.push(userId)
    }),
  ])
  for (const n of [1, 2, 3]) await bus.publish(envelope(`e${n}`, n))
  await eventually(() => handled.length === 1)
  await subscription.close()
  const before = handled.length
  await bus.subscribe([on(userUpdated, async ({ userId }) => void handled.push(userId))])
  await eventually(() => handled.length === 3)
  t.ok(before < 3)
  t.strictSame(handled, [1, 2, 3])
})

test('a broadcast reaches everybody who listens, a listener that throws harms nobody', async (t) => {
  const env = ownNamespace(t)
  const [one, two] = [await startRuntime(t, env), await startRuntime(t, env)]
  const heard: string[] = []
  one.bus.listen(userUpdated, () => {
    throw new Error('no')
  })
  one.bus.listen(userUpdated, ({ userId }) => heard.push(`one ${userId}`))
  const second = two.bus.listen(userUpdated, ({ userId }) => heard.push(`two ${userId}`))
  await two.bus.ping()
  await one.bus.ping()
  await one.bus.broadcast(userUpdated, envelope('', 1).data)
  await eventually(() => heard.length === 2)
  await second.close()
  await one.bus.broadcast(userUpdated, envelope('', 2).data)
  await eventually(() => heard.includes('one 2'))
  t.ok(!heard.includes('two 2'))
})
