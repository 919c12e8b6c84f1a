import type { FastifyInstance } from 'fastify'
import type { Db, MongoClient } from 'mongodb'
import type { Bus } from './bus.ts'
import { connectBus } from './connect-bus.ts'
import { createLogger, type Logger } from './logs.ts'
import { createMetrics, type Registry } from './metrics.ts'
import { connectMongo } from './mongo.ts'
import { createOutbox, type Outbox, startOutboxRelay } from './outbox.ts'
import { connectRedis, type Redis } from './redis.ts'

/** Settings that connecting needs; every service's config has them (commonSettings and the store settings). */
export interface RuntimeConfig {
  logLevel: string
  logFormat: 'json' | 'pretty'
  namespace: string
  mongodbUrl: string
  redisUrl: string
  natsUrl: string
  natsReplicas: number
}

/** What a service with stores of its own stands on. */
export interface Runtime {
  log: Logger
  metrics: Registry
  /** The service's own database. */
  db: Db
  mongoClient: MongoClient
  redis: Redis
  bus: Bus
  outbox: Outbox
  /** Milliseconds. Tests replace it. */
  now: () => number
  /** Rejects while a store does not answer. */
  ready(): Promise<void>
  /** Relay first, then bus, then stores. */
  close(): Promise<void>
}

/** Connects to MongoDB, Redis and NATS and starts the outbox relay. Closes what it opened when one of them fails. */
export async function connectRuntime(
  service: string,
  config: RuntimeConfig,
  now: () => number = Date.now,
): Promise<Runtime> {
  const log = createLogger({ service, level: config.logLevel, format: config.logFormat })
  const metrics = createMetrics(service)
  const opened: { close(): Promise<unknown> }[] = []
  try {
    const mongo = await connectMongo({ url: config.mongodbUrl, namespace: config.namespace, service })
    opened.push(mongo)
    const redis = await connectRedis({ url: config.redisUrl, namespace: config.namespace })
    opened.push({ close: async () => redis.disconnect() })
    const bus = await connectBus({
      url: config.natsUrl,
      namespace: config.namespace,
      replicas: config.natsReplicas,
      service,
      log,
      metrics,
    })
    opened.push(bus)
    const relay = startOutboxRelay({ db: mongo.db, redis, bus, service, log, metrics })
    opened.push(relay)
    const outbox = await createOutbox({ db: mongo.db, client: mongo.client, wake: relay.wake })
    return {
      log,
      metrics,
      db: mongo.db,
      mongoClient: mongo.client,
      redis,
      bus,
      outbox,
      now,
      async ready() {
        await Promise.all([mongo.ping(), redis.ping(), bus.ping()])
      },
      close: () => closeAll(opened),
    }
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}

async function closeAll(opened: { close(): Promise<unknown> }[]): Promise<void> {
  // Last opened first: each may still need what was opened before it.
  for (const part of opened.reverse()) await part.close().catch(() => {})
}

export interface RunningService {
  url: string
  close(): Promise<void>
}

/**
 * Listens, and gives back how to end: stop intake (subscriptions, listeners), drain what runs, close the stores.
 * `parts` are closed in order after the HTTP server took its last request.
 */
export async function listen(
  app: FastifyInstance,
  options: { host: string; port: number; log: Logger; parts: { close(): Promise<unknown> }[] },
): Promise<RunningService> {
  const url = await app.listen({ host: options.host, port: options.port }).catch(async (error) => {
    await app.close()
    for (const part of options.parts) await part.close().catch(() => {})
    throw error
  })
  options.log.info({ url }, 'listening')
  let ending: Promise<void> | undefined
  return {
    url,
    close() {
      ending ??= (async () => {
        await app.close()
        for (const part of options.parts)
          await part.close().catch((error) => options.log.warn({ err: error }, 'a part did not close cleanly'))
        options.log.info('ended')
      })()
      return ending
    },
  }
}
