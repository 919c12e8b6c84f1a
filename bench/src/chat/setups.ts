import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { accounts } from '@im/contracts/user'
import { startStack } from '@im/dev'
import { startServers } from '@im/dev/servers'
import { createTestClient } from '@im/service-kit/testing'
import { type ArchiveCheck, checkArchive } from './archive-check.ts'
import type { ConsumerOrder } from './tap-consumer.ts'
import type { Sent } from './traffic.ts'
import type { Account, XmppAddress } from './xmpp-client.ts'

/** What a load is put on. */
export interface Setup {
  name: string
  /** Of each XMPP server. */
  addresses: XmppAddress[]
  accounts: Account[]
  /** Process ids by name, to account for CPU. */
  processes(): Record<string, number>
  /** Which servers these are. */
  servers: Record<string, string>
  /** Compares what is stored with what was receipted; none where nothing is stored. */
  checkArchive?: (messages: readonly Sent[]) => Promise<ArchiveCheck>
  close(): Promise<void>
}

export interface SetupOptions {
  dataDir: string
  users: number
  report: (line: string) => void
  /** Options of Node for the services of the whole stack, e.g. --cpu-prof. */
  nodeOptions?: string
}

const firstUserId = 20_000_001

/** Prosody with our modules, and a component that delivers and keeps nothing. */
export async function startTapAlone({ dataDir, users, report }: SetupOptions): Promise<Setup> {
  const consumer = fork(join(import.meta.dirname, 'tap-consumer.ts'))
  const [{ httpPort }] = (await once(consumer, 'message')) as [{ httpPort: number }]
  const services = `http://127.0.0.1:${httpPort}`
  const servers = await startServers({
    dataDir,
    ports: 'free',
    env: { ...process.env, USER_URL: services, LIMIT_FACTOR: '0' },
    servers: ['prosody'],
    supervise: false,
    report: { info: report, progress() {} },
  }).catch((cause) => {
    consumer.disconnect()
    throw cause
  })
  const { env } = servers
  const order: ConsumerOrder = {
    port: Number(env['XMPP_COMPONENT_PORT']),
    domain: env['XMPP_DOMAIN']!,
    component: env['XMPP_COMPONENT']!,
    secret: env['XMPP_COMPONENT_SECRET']!,
  }
  consumer.send(order)
  await once(consumer, 'message')
  return {
    name: 'tap-alone',
    addresses: addressesOf(env),
    accounts: Array.from({ length: users }, (_, index) => ({ userId: firstUserId + index, password: '0'.repeat(32) })),
    processes: () => ({ prosody: servers.process('prosody').pid!, consumer: consumer.pid! }),
    servers: servers.choices,
    async close() {
      consumer.disconnect()
      await servers.close()
    },
  }
}

/** Everything: the servers, and each service in a process of its own. */
export const startFull = (options: SetupOptions) => startWhole('full', 1, options)

/** The same with two XMPP servers and two replicas of the message service. */
export const startDouble = (options: SetupOptions) => startWhole('double', 2, options)

async function startWhole(
  name: string,
  copies: 1 | 2,
  { dataDir, users, report, nodeOptions }: SetupOptions,
): Promise<Setup> {
  const stack = await startStack({
    dataDir,
    ports: 'free',
    env: {
      ...process.env,
      NODE_ENV: 'development',
      LOG_LEVEL: 'warn',
      LIMIT_FACTOR: '0',
      ...(nodeOptions ? { NODE_OPTIONS: nodeOptions } : {}),
    },
    apart: 'all',
    xmppServers: copies,
    replicas: { message: copies },
    supervise: false,
    report: { info: report, progress() {} },
  })
  const names = ['prosody', 'mongodb', 'redis', 'nats', 'message', 'user', 'gateway'] as const
  const further = copies === 2 ? (['prosody-2', 'message-2'] as const) : []
  return {
    name,
    addresses: addressesOf(stack.env),
    accounts: await register(stack.urls.user, users),
    processes: () => Object.fromEntries([...names, ...further].map((name) => [name, stack.process(name).pid!])),
    servers: stack.servers.choices,
    checkArchive: (messages) =>
      checkArchive(stack.env['MONGODB_URL']!, `${stack.env['NAMESPACE'] || 'im'}_message`, messages),
    close: () => stack.close(),
  }
}

const addressesOf = (env: Record<string, string>): XmppAddress[] =>
  (env['XMPP_PORTS'] ?? env['XMPP_PORT']!).split(',').map((port) => ({
    host: env['XMPP_HOST']!,
    port: Number(port),
    domain: env['XMPP_DOMAIN']!,
  }))

async function register(baseUrl: string, users: number): Promise<Account[]> {
  const client = createTestClient({ baseUrl, timeout: 20_000 })
  const registered: Account[] = []
  const run = Date.now() % 1_000_000
  const one = async (index: number) => {
    const { userId, access_token: password } = await client.call(accounts.register, {
      telephone: `1${String(run).padStart(6, '0')}${String(index).padStart(4, '0')}`,
      password: '5f4dcc3b5aa765d61d8327deb882cf99',
      nickname: `用户${index}`,
    })
    registered[index] = { userId, password }
  }
  try {
    for (let first = 0; first < users; first += 8)
      await Promise.all(Array.from({ length: Math.min(8, users - first) }, (_, index) => one(first + index)))
  } finally {
    await client.close()
  }
  return registered
}
