import { userUpdated } from '@im/contracts/user'
import { connectBus, connectMongo, createLogger, on } from '@im/service-kit'
import { eventPublisher, eventually, ownServer, recordEvents } from '@im/service-kit/testing'
import { jetstreamManager, type StreamUpdateConfig } from '@nats-io/jetstream'
import { connect, nanos } from '@nats-io/transport-node'
import { type Test, test } from 'tap'
import { natsServers } from '../src/events/nats-servers.ts'
import { handle, ownNamespace, startRuntime, update } from './runtime.ts'

const log = createLogger({ service: 'kit', level: 'silent', format: 'json' })

async function manager(t: Test, env: Record<string, string>) {
  const connection = await connect(natsServers(env['NATS_URL'] ?? ''))
  t.after(() => connection.close())
  const { streams } = await jetstreamManager(connection)
  const namespace = env['NAMESPACE'] ?? ''
  return {
    info: async (name: string) => (await streams.info(`${namespace}_${name}`)).config,
    change: (name: string, settings: Partial<StreamUpdateConfig>) => streams.update(`${namespace}_${name}`, settings),
    add: (name: string, subject: string) =>
      streams.add({ name: `${namespace}_${name}`, subjects: [`${namespace}.${subject}`] }),
    async names() {
      // A server with many tests behind it lists streams page by page; these fit into one.
      const own = await streams.list(`${namespace}.>`).next()
      return own.map(({ config }) => config.name)
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

test('what builds of before left is put in order: their consumers go, and their rows in the outbox are published', async (t) => {
  const env = ownNamespace(t)
  const namespace = env['NAMESPACE']
  const connection = await connect(natsServers(env['NATS_URL'] ?? ''))
  t.after(() => connection.close())
  const jsm = await jetstreamManager(connection)
  await jsm.streams.add({
    name: `${namespace}_user`,
    subjects: ['user', 'session'].map((noun) => `${namespace}.${noun}.>`),
  })
  for (const name of ['user.updated.v1', 'session.revoked.v1'])
    await jsm.consumers.add(`${namespace}_user`, {
      durable_name: `message-${name.replaceAll('.', '-')}`,
      filter_subject: `${namespace}.${name}`,
      ack_policy: 'explicit',
    })
  const mongo = await connectMongo({ url: env['MONGODB_URL'] ?? '', namespace: namespace ?? '', service: 'user' })
  t.after(() => mongo.close())
  const old = { name: userUpdated.name, aggregate: '1', n: 0 }
  await mongo.db.collection<{ _id: string; [field: string]: unknown }>('outbox').insertMany([
    { ...old, _id: 'c', at: 2, data: update(1, 'third') },
    { ...old, _id: 'b', at: 1, n: 7, data: update(1, 'second') },
    { ...old, _id: 'a', at: 1, n: 6, data: update(1, 'first') },
    { ...old, _id: 'd', at: 0, name: 'nobody.came.v1', data: {} },
  ])
  await startRuntime(t, env)
  const heard = await recordEvents(t, env, userUpdated)
  await eventually(() => heard.length === 3)
  t.strictSame(
    heard.map(({ nickname }) => nickname),
    ['first', 'second', 'third'],
  )
  const consumers = await jsm.consumers.list(`${namespace}_user`).next()
  t.notOk(consumers.some(({ config }) => config.durable_name))
})

test('what the server refuses stops the start, and names the reason', async (t) => {
  const env = ownNamespace(t)
  const streams = await manager(t, env)
  await connectAs(t, env, 'user')
  await t.rejects(connectAs(t, env, 'user', 3), { message: /1 of the 3 replicas|not supported/ })
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

test('a server that came back with an older state has its new events read, also those with numbers that were read before', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  const env = ownNamespace(t, { NATS_URL: server.url })
  const { outbox, db } = await startRuntime(t, env)
  const isPublished = () => eventually(async () => (await db.collection('outbox').countDocuments()) === 0, 20_000)
  const announce = async (nickname: string, count: number) => {
    await outbox.commit(async (change) => {
      for (let n = 0; n < count; n++) change.announce(userUpdated, String(n), update(n + 1, nickname))
    })
    await isPublished()
  }
  const heard: string[] = []
  const listen = async () => {
    const social = await startRuntime(t, env, 'social')
    const handling = handle(t, social, [on(userUpdated, async ({ nickname }) => heard.push(nickname))])
    return {
      social,
      async close() {
        await handling.close()
        await social.close()
      },
    }
  }
  const first = await listen()
  await announce('before', 20)
  await eventually(() => heard.length === 20)
  await server.kill()
  await server.save()
  await server.start()
  await announce('lost', 20)
  await eventually(() => heard.length === 40, 20_000)
  await first.close()
  await server.kill()
  await server.restore()
  await server.start()
  await announce('after', 30)
  const second = await listen()
  await eventually(() => heard.filter((nickname) => nickname === 'after').length === 30, 20_000)
  t.equal(heard.filter((nickname) => nickname === 'before').length, 20, 'older ones are not read again')
  t.match(await second.social.metrics.metrics(), /im_events_lost_total\{shard="user\/\d",service="social"\} 1/)
})
