import type { Db, MongoClient } from 'mongodb'
import type { DatabaseConfig, ServiceConfig } from './config.ts'
import type { Bus } from './events/bus.ts'
import { connectBus } from './events/connect-bus.ts'
import { createOutbox, type Outbox } from './events/outbox.ts'
import { startOutboxRelay } from './events/relay-outbox.ts'
import { RateCounters } from './limits/rate-counters.ts'
import { createLogger, type Logger } from './logs.ts'
import { createMetrics, type Registry } from './metrics.ts'
import { connectMongo } from './mongo.ts'
import { OptionalRedis } from './optional-redis.ts'
import { connectRedis, type Redis } from './redis.ts'
import { Replicas } from './replicas.ts'
import { hostsOf } from './start-error.ts'
import { openTracing, type Tracing } from './tracing.ts'

export interface Closable {
  close(): Promise<unknown>
}

/** The connections of a service without a database. */
export interface Connections<C extends ServiceConfig = ServiceConfig> {
  config: C
  log: Logger
  metrics: Registry
  /** Undefined unless OTEL_EXPORTER_OTLP_ENDPOINT is set. */
  tracing: Tracing | undefined
  redis: Redis
  /** The same connection, for what can do without it. */
  optionalRedis: OptionalRedis
  /** Counts of the limits of endpoints and operations. */
  rateCounters: RateCounters
  bus: Bus
  /** Milliseconds. Tests replace it. */
  now: () => number
  /** Rejects while a store does not answer. */
  ready(): Promise<void>
  /** Whether calls had better be refused: too many wait for the database already. */
  isOverloaded(): boolean
  /** Resolves with the reason when a connection was lost for good: the process must be started anew. */
  failed: Promise<Error>
  /** Relay first, then bus, then stores. */
  close(): Promise<void>
}

/** The connections of a service with a database. */
export interface Runtime<C extends ServiceConfig = ServiceConfig> extends Connections<C> {
  db: Db
  mongoClient: MongoClient
  outbox: Outbox
  /** Which replicas of the service are alive: for work that one of them does at a time. */
  replicas: Replicas
}

/** Connects the stores and starts the outbox relay. Closes what it opened when one of them fails. */
export async function connectRuntime<C extends ServiceConfig>(
  service: string,
  config: C & DatabaseConfig,
  now: () => number = Date.now,
): Promise<Runtime<C>> {
  return (await connect(service, config, now, config.mongodbUrl)) as Runtime<C>
}

/** The same without a database and an outbox. */
export function connectWithoutDatabase<C extends ServiceConfig>(
  service: string,
  config: C,
  now: () => number = Date.now,
): Promise<Connections<C>> {
  return connect(service, config, now)
}

async function connect<C extends ServiceConfig>(
  service: string,
  config: C,
  now: () => number,
  mongodbUrl?: string,
): Promise<Connections<C> | Runtime<C>> {
  const { namespace } = config
  const log = createLogger({ service, level: config.logLevel, format: config.logFormat })
  const metrics = createMetrics(service)
  const opened: Closable[] = []
  let ending: Promise<void> | undefined
  const closeAll = async () => {
    // In reverse order, because each may need those opened before it.
    for (const part of opened.toReversed()) await part.close().catch(() => {})
  }
  const close = () => {
    ending ??= closeAll()
    return ending
  }
  try {
    const { traceEndpoint: endpoint, traceShare: share } = config
    const tracing = endpoint ? await openTracing({ service, namespace, endpoint, share }) : undefined
    if (tracing) opened.push(tracing)
    const mongo = mongodbUrl
      ? await connectMongo({ url: mongodbUrl, namespace, service, metrics, monitorCommands: config.nodeEnv === 'test' })
      : undefined
    if (mongo) opened.push(mongo)
    const redis = await connectRedis({ url: config.redisUrl, namespace })
    opened.push({ close: async () => redis.disconnect() })
    if (redis.isAway)
      log.warn(
        `Redis at ${hostsOf(config.redisUrl)} does not answer: start it, or correct REDIS_URL; going on without it`,
      )
    const { natsUrl: url, natsReplicas } = config
    const bus = await connectBus({ url, namespace, replicas: natsReplicas, service, log })
    opened.push(bus)
    void bus.failed.then((error) => log.fatal({ err: error }, 'the connection to NATS was closed for good'))
    const optionalRedis = new OptionalRedis({ redis, log, metrics })
    const rateCounters = new RateCounters({ redis: optionalRedis, factor: config.limitFactor, metrics })
    const isOverloaded = () => mongo?.isOverloaded() ?? false
    const { failed } = bus
    const base = {
      config,
      log,
      metrics,
      tracing,
      redis,
      optionalRedis,
      rateCounters,
      bus,
      now,
      isOverloaded,
      failed,
      close,
    }
    if (!mongo)
      return {
        ...base,
        async ready() {
          await Promise.all([redis.ping(), bus.ping()])
        },
      }
    const { db, client } = mongo
    const replicas = await Replicas.join(db, log)
    opened.push(replicas)
    const relay = startOutboxRelay({ db, replicas, bus, log, metrics })
    opened.push(relay)
    const { wake } = relay
    const outbox = await createOutbox({ db, client, bus, wake })
    const database: Omit<Runtime<C>, keyof Connections> = { db, mongoClient: client, outbox, replicas }
    const ready = async () => void (await Promise.all([mongo.ping(), redis.ping(), bus.ping()]))
    return { ...base, ...database, ready }
  } catch (error) {
    await close()
    throw error
  }
}
