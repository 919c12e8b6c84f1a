import { once } from 'node:events'
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { dockerEngine } from '../src/machine/docker.ts'
import { mongodb } from '../src/servers/mongodb.ts'
import { nats } from '../src/servers/nats.ts'
import { prosody } from '../src/servers/prosody.ts'
import { redis } from '../src/servers/redis.ts'
import type { Place } from '../src/servers/server.ts'
import { emptyMachine } from './fake-machine.ts'
import { standaloneMongo } from './standalone-mongo.ts'

const secantusdb = 'secantusdb-0.5.3-beta.196/bin/secantusd-rs'
const place: Place = {
  folder: '/data/here',
  ports: { mongodb: 1, redis: 2, nats: 3, xmpp: 4, xmppHttp: 5, xmppComponent: 6, s3: 7 },
  env: {},
}

test('a mongod 8 on PATH is started as a replica set', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v8.0.13')
  await machine.cached(secantusdb, '')
  const choice = await mongodb.choose(machine, machine.folder)
  t.match(choice.what, /^8\.0\.13 .*mongod/)
  t.equal(choice.why, 'found on PATH')
  t.ok(choice.launch?.(place).args.includes('--replSet'))
})

test('a mongod 6 is too old: Docker comes next', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v6.0.1')
  const docker = { ...machine.docker, running: async () => true, obtain: async () => true }
  const choice = await mongodb.choose({ ...machine, docker }, machine.folder)
  t.match(choice.what, /mongo:8 in Docker/)
  t.ok(choice.launch?.(place).args.includes('127.0.0.1:1:27017'))
})

test('without mongod, Docker and download, secantusd-rs of the cache is taken, always with --sync-on-commit', async (t) => {
  const machine = await emptyMachine(t)
  await machine.cached(secantusdb, '')
  const choice = await mongodb.choose(machine, machine.folder)
  t.match(choice.what, /SecantusDB 0\.5\.3-beta\.196/)
  t.ok(choice.launch?.(place).args.includes('--sync-on-commit'))
  t.not(choice.folder, 'mongodb', 'mongod could not read its files')
})

test('a failed download of mongod is remembered: the next start does not try', async (t) => {
  const machine = await emptyMachine(t)
  await machine.cached(secantusdb, '')
  await mongodb.choose(machine, machine.folder)

  let requests = 0
  const mirror = createServer((_, response) => {
    requests += 1
    response.end()
  }).listen(0, '127.0.0.1')
  t.after(() => mirror.close())
  await new Promise((resolve) => mirror.once('listening', resolve))
  const address = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`
  const later = { ...machine, env: { ...machine.env, MONGOMS_DOWNLOAD_MIRROR: address } }
  t.match((await mongodb.choose(later, machine.folder)).what, /SecantusDB/)
  t.equal(requests, 0)
})

test('a download that does not come costs less than 10 s', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  silent.on('connect', () => {})
  await once(silent, 'listening')
  t.after(() => {
    silent.closeAllConnections()
    silent.close()
  })
  const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  for (const [setting, reason] of [
    ['MONGOMS_DOWNLOAD_MIRROR', /127\.0\.0\.1:\d+: .*timeout/],
    ['https_proxy', /nothing came for 5 s/],
  ] as const)
    await t.test(setting, async (t) => {
      const machine = await emptyMachine(t, { MONGOMS_DOWNLOAD_MIRROR: 'https://127.0.0.1:9', [setting]: address })
      const began = Date.now()
      await t.rejects(mongodb.choose(machine, machine.folder), reason)
      t.ok(Date.now() - began < 10_000, `${Date.now() - began} ms`)
      t.ok(await machine.failures.failedAt('mongod-download'))
    })
})

test('Docker that runs without the image fetches it; one that cannot is passed over, and not asked again', async (t) => {
  const machine = await emptyMachine(t)
  const asked = join(machine.folder, 'asked')
  const docker = (pull: string) =>
    machine.script('docker', `echo "$*" >> ${asked}\n[ "$2" = inspect ] && exit 1\n[ "$1" = pull ] && ${pull}\nexit 0`)
  const withDocker = { ...machine, docker: dockerEngine(machine.env) }
  await docker('exit 0')
  t.match((await mongodb.choose(withDocker, machine.folder)).what, /mongo:8 in Docker/)
  t.match((await redis.choose(withDocker, machine.folder)).what, /redis:7 in Docker/)
  t.match(await readFile(asked, 'utf8'), /pull mongo:8\n.*pull redis:7/s)

  await docker('exit 1')
  for (const _time of ['once', 'again'])
    await t.rejects(mongodb.choose(withDocker, machine.folder), /Docker could not fetch mongo:8/)
  t.equal((await readFile(asked, 'utf8')).split('pull mongo:8').length - 1, 2, 'the last time it was not asked')
  await t.rejects(redis.choose(withDocker, machine.folder), /Docker could not fetch redis:7/)
})

test('a MongoDB of MONGODB_URL that stands alone: the error names what is missing', async (t) => {
  const { url, close } = await standaloneMongo()
  t.after(close)
  const machine = await emptyMachine(t, { MONGODB_URL: url })
  await machine.program('mongod', 'db version v8.0.13')
  const { message } = (await t.rejects(mongodb.choose(machine, machine.folder))) as Error
  t.match(message, /^MONGODB_URL is set, but that MongoDB can't be used: it lacks a replica set, .*rs\.initiate/)
  t.match(message, /, so transactions/)
  t.equal(message.split('\n').length, 1)
})

test('a data folder of secantusd-rs stays with it, also when a mongod appears', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v8.0.13')
  await machine.cached(secantusdb, '')
  await mkdir(join(machine.folder, 'secantusdb'))
  const choice = await mongodb.choose(machine, machine.folder)
  t.match(choice.what, /SecantusDB/)
  t.match(choice.why, /holds the data of earlier runs/)
})

test('where nothing works, one error gives every reason and says what to install', async (t) => {
  const machine = await emptyMachine(t)
  const { message } = (await t.rejects(mongodb.choose(machine, machine.folder))) as Error
  for (const part of [
    /no mongod on PATH/,
    /no running Docker/,
    /can't be downloaded/,
    /no cargo on PATH/,
    /brew install mongodb/,
    /MONGODB_URL/,
  ])
    t.match(message, part)
  for (const [server, part] of [
    [redis, /apt-get install redis-server/],
    [nats, /brew install nats-server/],
    [prosody, /apt-get install prosody/],
  ] as const)
    await t.rejects(server.choose(machine, machine.folder), part)
})

test('an address in the environment comes first, and a wrong one is an error, not a reason to take another', async (t) => {
  const machine = await emptyMachine(t, {
    MONGODB_URL: 'mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300',
    REDIS_URL: 'redis://127.0.0.1:9',
    NATS_URL: 'nats://127.0.0.1:9',
  })
  await machine.program('redis-server', 'Redis server v=7.0.15')
  await t.rejects(redis.choose(machine, machine.folder), /REDIS_URL is set, but no Redis answers/)
  await t.rejects(nats.choose(machine, machine.folder), /NATS_URL is set, but no NATS/)
  await t.rejects(mongodb.choose(machine, machine.folder), /MONGODB_URL is set, but no MongoDB answers/)
})

test('root installs a missing server with apt-get', async (t) => {
  const machine = await emptyMachine(t)
  const installed: string[] = []
  const apt = {
    available: async () => true,
    install: async (packages: string[]) => {
      installed.push(...packages)
      await machine.program('redis-server', 'Redis server v=7.0.15 sha=0')
    },
  }
  const choice = await redis.choose({ ...machine, apt }, machine.folder)
  t.strictSame(installed, ['redis-server'])
  t.match(choice.what, /^7\.0\.15/)
  t.match(choice.why, /apt-get/)
})

test('NATS is told to sync always when its version knows the word', async (t) => {
  for (const [version, knows] of [
    ['2.9.10', false],
    ['2.10.0', true],
    ['2.12.1', true],
  ] as const) {
    const machine = await emptyMachine(t)
    await machine.program('nats-server', `nats-server: v${version}`)
    const choice = await nats.choose(machine, machine.folder)
    await choice.launch?.({ ...place, folder: machine.folder }).prepare?.()
    const config = await readFile(join(machine.folder, 'nats.conf'), 'utf8')
    t.equal(config.includes('sync_interval: always'), knows, version)
  }
})
