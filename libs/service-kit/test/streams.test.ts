import { userUpdated } from '@im/contracts/user'
import { connectBus, createLogger } from '@im/service-kit'
import { eventPublisher, eventually, ownServer, recordEvents } from '@im/service-kit/testing'
import { jetstreamManager, type StreamUpdateConfig } from '@nats-io/jetstream'
import { connect, nanos } from '@nats-io/transport-node'
import { type Test, test } from 'tap'
import { ownNamespace, startRuntime, update } from './runtime.ts'

const log = createLogger({ service: 'kit', level: 'silent', format: 'json' })

async function manager(t: Test, env: Record<string, string>) {
  const connection = await connect({ servers: env['NATS_URL'] ?? '' })
  t.after(() => connection.close())
  const { streams } = await jetstreamManager(connection)
  const namespace = env['NAMESPACE'] ?? ''
  return {
    info: async (name: string) => (await streams.info(`${namespace}_${name}`)).config,
    change: (name: string, settings: Partial<StreamUpdateConfig>) => streams.update(`${namespace}_${name}`, settings),
    add: (name: string, subject: string) =>
      streams.add({ name: `${namespace}_${name}`, subjects: [`${namespace}.${subject}`] }),
    async names() {
      const all = await streams.list().next()
      return all.map(({ config }) => config.name).filter((name) => name.startsWith(`${namespace}_`))
    },
  }
}

async function connectAs(t: Test, env: Record<string, string>, service: string, replicas = 1) {
  const { NATS_URL: url = '', NAMESPACE: namespace = '' } = env
  const bus = await connectBus({ url, namespace, replicas, service, log })
  t.after(() => bus.close())
  return bus
}

test('a service makes its own streams and that of the dead letters', async (t) => {
  const env = ownNamespace(t)
  const streams = await manager(t, env)
  const namespace = env['NAMESPACE']
  await connectAs(t, env, 'gateway')
  t.strictSame(await streams.names(), [`${namespace}_dead`])
  await connectAs(t, env, 'message')
  t.strictSame(
    (await streams.names()).sort(),
    ['dead', 'message', 'presence'].map((name) => `${namespace}_${name}`),
  )
})

test('a stream made with other settings gets those of now', async (t) => {
  const env = ownNamespace(t)
  const streams = await manager(t, env)
  await connectAs(t, env, 'user')
  const fresh = await streams.info('user')
  await streams.change('user', {
    max_age: nanos(1000),
    duplicate_window: nanos(1000),
    subjects: [`${env['NAMESPACE']}.old.>`],
  })
  await connectAs(t, env, 'user')
  t.match(await streams.info('user'), {
    max_age: fresh.max_age,
    duplicate_window: fresh.duplicate_window,
    subjects: fresh.subjects,
  })
})

test('the streams of the first release give their subjects up to those that have them now', async (t) => {
  const env = ownNamespace(t)
  const streams = await manager(t, env)
  await streams.add('message', '>')
  await connectAs(t, env, 'message')
  t.strictSame((await streams.info('presence')).subjects, [`${env['NAMESPACE']}.presence.*.>`])
  t.strictSame((await streams.info('message')).subjects, [`${env['NAMESPACE']}.message.*.>`])
})

test('what the server refuses stops the start, and names the reason', async (t) => {
  const env = ownNamespace(t)
  const streams = await manager(t, env)
  await connectAs(t, env, 'user')
  await t.rejects(connectAs(t, env, 'user', 3), { message: /1 of the 3 replicas/ })
  await t.rejects(connectAs(t, env, 'social', 3), { message: /1 of the 3 replicas|not supported/ })
  await connectAs(t, env, 'user')
  t.equal((await streams.info('user')).num_replicas, 1)
  await streams.add('other', 'presence.>')
  await t.rejects(connectAs(t, env, 'message'), { message: /overlap/ })
})

test('a server that stands still is no missing stream: the start fails in time', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const env = ownNamespace(t, { NATS_URL: server.url })
  server.freeze()
  const startedAt = Date.now()
  await t.rejects(startRuntime(t, env))
  t.ok(Date.now() - startedAt < 10_000)
})

test('the streams of a server that lost its disk are made anew by whoever publishes next', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const env = ownNamespace(t, { NATS_URL: server.url })
  const publish = eventPublisher(t, env)
  await publish(userUpdated, 1, update(1))
  await server.kill()
  await server.erase()
  await server.start()
  await eventually(() => publish(userUpdated, 2, update(2)).then(() => true), 20_000)
  const heard = await recordEvents(t, env, userUpdated)
  t.ok(await eventually(() => heard.some(({ userId }) => userId === 2)))
})
