import { randomBytes } from 'node:crypto'
import { serviceNames } from '@im/contracts'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import { natsServers } from '../events/nats-servers.ts'

/** Nobody listens there. Where services listen by default a whole stack of a developer may run. */
const nobody = 'http://127.0.0.1:1'
const noPeers = Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_URL`, nobody]))

/**
 * Environment for a service under test: its own namespace on the shared servers, a free port, no other services and limits off
 * unless given.
 */
export function testEnv(extra: Record<string, string> = {}): Record<string, string> {
  return {
    ...(process.env as Record<string, string>),
    ...noPeers,
    NODE_ENV: 'test',
    LOG_LEVEL: 'error',
    PORT: '0',
    OPERATIONS_PORT: '0',
    NAMESPACE: `t${randomBytes(5).toString('hex')}`,
    SERVICE_KEY: 'test-service-key',
    CALLER_KEY: 'test-caller-key',
    ...extra,
  }
}

/**
 * Removes what a test's namespace left on the shared servers: databases, cache keys, streams. Not from servers that the test run
 * has started (`IM_TEST_OWN_SERVERS`): they end with it, and connecting to each once more would cost as much as many tests.
 */
export async function dropNamespace(env: Record<string, string>): Promise<void> {
  const { NAMESPACE: namespace, MONGODB_URL = '', REDIS_URL = '', NATS_URL = '' } = env
  if (!namespace) throw new Error('no NAMESPACE to drop')
  const own = new Set(env['IM_TEST_OWN_SERVERS']?.split(','))
  const stays = (server: string, setting: string) => !own.has(server) || env[setting] !== process.env[setting]
  await Promise.all([
    stays('mongodb', 'MONGODB_URL') && dropDatabases(MONGODB_URL, `${namespace}_`),
    stays('redis', 'REDIS_URL') && dropKeys(REDIS_URL, `${namespace}:`),
    stays('nats', 'NATS_URL') && dropStreams(NATS_URL, `${namespace}_`),
  ])
}

async function dropDatabases(url: string, prefix: string): Promise<void> {
  const client = new MongoClient(url)
  try {
    const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true })
    for (const { name } of databases) if (name.startsWith(prefix)) await dropDatabase(client, name)
  } finally {
    await client.close()
  }
}

/**
 * Ends transactions that killed processes have left open (`Replicas`), then drops. Otherwise the stand-in would wait for them
 * for ever and serve nobody.
 */
async function dropDatabase(client: MongoClient, name: string): Promise<void> {
  const db = client.db(name)
  const killed = await db.collection<{ sessions?: unknown[] }>('replicas').find().toArray()
  const sessions = killed.flatMap(({ sessions = [] }) => sessions.map((id) => ({ id })))
  if (sessions.length) await db.admin().command({ killSessions: sessions })
  await db.dropDatabase()
}

async function dropKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url)
  try {
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 }))
      if ((keys as string[]).length) await redis.unlink(...(keys as string[]))
  } finally {
    redis.disconnect()
  }
}

async function dropStreams(url: string, prefix: string): Promise<void> {
  const connection = await connect(natsServers(url))
  try {
    const manager = await jetstreamManager(connection)
    for (const { config } of await manager.streams.list().next())
      if (config.name.startsWith(prefix)) await manager.streams.delete(config.name)
  } finally {
    await connection.close()
  }
}
