import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventEnvelope, EventType, Payload } from '@im/contracts'
import { MongoClient } from 'mongodb'
import type { Bus, SubscribeOptions } from '../bus.ts'

/** Waits until `probe` neither throws nor gives false or undefined; fails with its last error at the deadline (ms). */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  deadline = 10_000,
): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + deadline
  let last: unknown = new Error('it never became true')
  for (;;) {
    try {
      const value = await probe()
      if (value !== false && value !== undefined && value !== null) return value as Exclude<T, false | null | undefined>
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw last
    await delay(20)
  }
}

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Environment for a service under test: its own namespace on the shared servers, a free port, limits off unless given. */
export function testEnv(extra: Record<string, string> = {}): Record<string, string> {
  return {
    ...(process.env as Record<string, string>),
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

/** Removes the databases of a test's namespace. */
export async function dropNamespace(env: Record<string, string>): Promise<void> {
  const client = new MongoClient(env['MONGODB_URL'] ?? '')
  try {
    const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true })
    const own = databases.filter(({ name }) => name.startsWith(`${env['NAMESPACE']}_`))
    for (const { name } of own) await client.db(name).dropDatabase()
  } finally {
    await client.close()
  }
}

/** A bus that keeps what is published and hands events to its subscribers when told to. */
export function recordedBus(): Bus & {
  of<E extends EventType>(event: E): Payload<E>[]
  deliver<E extends EventType>(event: E, payload: Payload<E>, id?: string): Promise<void>
} {
  const published: EventEnvelope[] = []
  const subscribers = new Map<string, SubscribeOptions<EventType>[]>()
  const listeners = new Map<string, ((payload: never) => void)[]>()
  const nothing = { close: async () => {} }
  return {
    async publish(envelope) {
      if (!published.some((known) => known.id === envelope.id)) published.push(envelope)
    },
    async subscribe(event, options) {
      subscribers.set(event.name, [...(subscribers.get(event.name) ?? []), options as never])
      return nothing
    },
    async broadcast(event, payload) {
      for (const handle of listeners.get(event.name) ?? []) handle(payload as never)
    },
    listen(event, handle) {
      listeners.set(event.name, [...(listeners.get(event.name) ?? []), handle as never])
      return nothing
    },
    wake() {},
    onWake: () => nothing,
    onConnection: () => nothing,
    async ping() {},
    async close() {},
    of: (event) => published.filter(({ name }) => name === event.name).map(({ data }) => data as never),
    async deliver(event, payload, id = randomBytes(16).toString('hex')) {
      for (const options of subscribers.get(event.name) ?? [])
        await options.handle(
          payload as never,
          { id, name: event.name, at: Date.now(), aggregate: '', data: payload } as never,
        )
    },
  }
}
