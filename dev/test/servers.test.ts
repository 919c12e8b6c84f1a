import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import { test } from 'tap'
import { processIdentity } from '../src/machine/process-records.ts'
import { startServers, withoutGivenServers } from '../src/servers/index.ts'
import { temporaryFolder } from './fake-machine.ts'

const ownServers = withoutGivenServers(process.env)

test('a server that is killed comes back at the same address with its data, and close leaves nothing running', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data')
  const options = { dataDir, ports: 'free', env: ownServers, servers: ['redis', 'nats'] } as const
  const servers = await startServers(options)
  t.after(() => servers.close())
  t.strictSame(servers.started.sort(), ['nats', 'redis'])
  await t.rejects(startServers(options), /in use by another run/)

  const client = new Redis(servers.env['REDIS_URL'] ?? '')
  t.after(() => client.disconnect())
  client.on('error', () => {})
  await client.set('key', 'value')
  const pid = servers.process('redis').pid as number
  await servers.kill('redis', 'SIGKILL')
  t.equal(await processIdentity(pid), undefined)
  await servers.restart('redis')
  t.equal(await client.get('key'), 'value')

  const pids = servers.started.map((name) => servers.process(name).pid as number)
  await servers.close()
  for (const each of pids) t.equal(await processIdentity(each), undefined)
})

test('servers that the environment names are neither started nor killed', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await startServers({ dataDir: join(folder, 'a'), ports: 'free', env: ownServers, servers: ['redis'] })
  t.after(() => first.close())
  const env = { ...ownServers, ...first.env }
  const second = await startServers({ dataDir: join(folder, 'b'), ports: 'free', env, servers: ['redis'] })
  t.after(() => second.close())
  t.strictSame(second.started, [])
  t.equal(second.env['REDIS_URL'], first.env['REDIS_URL'])
  t.throws(() => second.kill('redis'), /runs outside/)
})

test('a taken port stops the start before anything runs', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await startServers({ dataDir: join(folder, 'a'), ports: 'free', env: ownServers, servers: ['redis'] })
  t.after(() => first.close())
  const port = Number(new URL(first.env['REDIS_URL'] ?? '').port)
  const second = startServers({
    dataDir: join(folder, 'b'),
    ports: { redis: port },
    env: ownServers,
    servers: ['redis'],
  })
  await t.rejects(second, new RegExp(`Port ${port} \\(Redis\\) is taken by redis-server .*REDIS_PORT=`))
})

test('the database gives a transaction up that nobody ends, as that of a killed service, after 15 s', async (t) => {
  const dataDir = await temporaryFolder(t)
  const servers = await startServers({ dataDir, ports: 'free', env: ownServers, servers: ['mongodb'] })
  t.after(() => servers.close())
  const limit = async () => {
    const client = new MongoClient(servers.env['MONGODB_URL'] ?? '')
    const name = 'transactionLifetimeLimitSeconds'
    const answer = await client.db('admin').command({ getParameter: 1, [name]: 1 })
    await client.close()
    return Number(answer[name])
  }
  t.equal(await limit(), 15)
  await servers.kill('mongodb', 'SIGKILL')
  await servers.restart('mongodb')
  t.equal(await limit(), 15, 'also when it was started again')
})

test('two XMPP servers have names, ports and data folders of their own', async (t) => {
  const dataDir = await temporaryFolder(t)
  const servers = await startServers({ dataDir, ports: 'free', env: ownServers, servers: ['prosody'], xmppServers: 2 })
  t.after(() => servers.close())
  t.strictSame(servers.started.toSorted(), ['prosody', 'prosody-2'])
  const ports = servers.env['XMPP_PORTS']?.split(',') ?? []
  t.equal(ports.length, 2)
  t.equal(servers.env['XMPP_PORT'], ports[0])
  t.equal(servers.env['XMPP_COMPONENT_URL']?.split(',').length, 2)
  t.equal(servers.env['XMPP_HTTP_URL']?.split(',').length, 2)
  for (const folder of ['prosody', 'prosody-2']) t.ok(existsSync(join(dataDir, folder, 'lock')), folder)
  await servers.kill('prosody-2')
  await servers.restart('prosody-2')
  t.not(servers.process('prosody-2').pid, servers.process('prosody').pid)
})
