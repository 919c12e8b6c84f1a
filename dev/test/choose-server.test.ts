import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { mongodb } from '../src/servers/mongodb.ts'
import { nats } from '../src/servers/nats.ts'
import { prosody } from '../src/servers/prosody.ts'
import { redis } from '../src/servers/redis.ts'
import type { Place } from '../src/servers/server.ts'
import { emptyMachine } from './fake-machine.ts'

const secantusdb = 'secantusdb-0.5.3-beta.196/bin/secantusd-rs'
const place: Place = {
  folder: '/data/here',
  ports: { mongodb: 1, redis: 2, nats: 3, xmpp: 4, xmppHttp: 5, xmppComponent: 6 },
  env: {},
}

test('a mongod 8 on PATH is started as a replica set', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v8.0.13')
  await machine.cached(secantusdb, '')
  const choice = await mongodb.choose(machine, machine.folder)
  assert.match(choice.what, /^8\.0\.13 .*mongod/)
  assert.equal(choice.why, 'found on PATH')
  assert.ok(choice.launch?.(place).args.includes('--replSet'))
})

test('a mongod 6 is too old: Docker comes next', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v6.0.1')
  const docker = { ...machine.docker, running: async () => true, obtain: async () => true }
  const choice = await mongodb.choose({ ...machine, docker }, machine.folder)
  assert.match(choice.what, /mongo:8 in Docker/)
  assert.ok(choice.launch?.(place).args.includes('127.0.0.1:1:27017'))
})

test('without mongod, Docker and download, secantusd-rs of the cache is taken, always with --sync-on-commit', async (t) => {
  const machine = await emptyMachine(t)
  await machine.cached(secantusdb, '')
  const choice = await mongodb.choose(machine, machine.folder)
  assert.match(choice.what, /SecantusDB 0\.5\.3-beta\.196/)
  assert.ok(choice.launch?.(place).args.includes('--sync-on-commit'))
  assert.notEqual(choice.folder, 'mongodb', 'mongod could not read its files')
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
  assert.match((await mongodb.choose(later, machine.folder)).what, /SecantusDB/)
  assert.equal(requests, 0)
})

test('a data folder of secantusd-rs stays with it, also when a mongod appears', async (t) => {
  const machine = await emptyMachine(t)
  await machine.program('mongod', 'db version v8.0.13')
  await machine.cached(secantusdb, '')
  await mkdir(join(machine.folder, 'secantusdb'))
  const choice = await mongodb.choose(machine, machine.folder)
  assert.match(choice.what, /SecantusDB/)
  assert.match(choice.why, /holds the data of earlier runs/)
})

test('where nothing works, one error gives every reason and says what to install', async (t) => {
  const machine = await emptyMachine(t)
  await assert.rejects(mongodb.choose(machine, machine.folder), (error: Error) => {
    for (const part of [
      /no mongod on PATH/,
      /no running Docker/,
      /can't be downloaded/,
      /no cargo on PATH/,
      /brew install mongodb/,
      /MONGODB_URL/,
    ])
      assert.match(error.message, part)
    return true
  })
  for (const [server, part] of [
    [redis, /apt-get install redis-server/],
    [nats, /brew install nats-server/],
    [prosody, /apt-get install prosody/],
  ] as const)
    await assert.rejects(server.choose(machine, machine.folder), part)
})

test('an address in the environment comes first, and a wrong one is an error, not a reason to take another', async (t) => {
  const machine = await emptyMachine(t, {
    MONGODB_URL: 'mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300',
    REDIS_URL: 'redis://127.0.0.1:9',
    NATS_URL: 'nats://127.0.0.1:9',
  })
  await machine.program('redis-server', 'Redis server v=7.0.15')
  await assert.rejects(redis.choose(machine, machine.folder), /REDIS_URL is set, but no Redis answers/)
  await assert.rejects(nats.choose(machine, machine.folder), /NATS_URL is set, but no NATS/)
  await assert.rejects(mongodb.choose(machine, machine.folder), /MONGODB_URL is set, but no MongoDB answers/)
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
  assert.deepEqual(installed, ['redis-server'])
  assert.match(choice.what, /^7\.0\.15/)
  assert.match(choice.why, /apt-get/)
})

test('NATS is told to sync always when its version knows the word', async (t) => {
  const { readFile } = await import('node:fs/promises')
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
    assert.equal(config.includes('sync_interval: always'), knows, version)
  }
})
