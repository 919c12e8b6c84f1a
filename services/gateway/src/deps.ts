import type { IncomingMessage } from 'node:http'
import type { ServiceName } from '@im/contracts'
import {
  type ApiClient,
  type Bus,
  Counter,
  connectBus,
  connectRedis,
  createClient,
  createLogger,
  createMetrics,
  Histogram,
  type Logger,
  type Redis,
  type Registry,
} from '@im/service-kit'
import { addressReader } from './client-address.ts'
import type { GatewayConfig } from './config.ts'
import { Upstream } from './forward.ts'
import { RateLimits } from './rate-limits.ts'
import { RedisHelp } from './redis-help.ts'
import { SessionCache } from './session-cache.ts'
import { OwnBuckets, SharedBuckets } from './token-buckets.ts'
import { WebSocketTunnels } from './xmpp-websocket.ts'

type OwnerName = Exclude<ServiceName, 'gateway'>

export interface Deps {
  config: GatewayConfig
  log: Logger
  metrics: Registry
  redis: Redis
  bus: Bus
  /** Milliseconds. */
  now: () => number
  addressOf: (request: IncomingMessage) => string
  sessions: SessionCache
  limits: RateLimits
  owners: ReadonlyMap<OwnerName, Upstream>
  /** BOSH of the XMPP server. */
  bosh: Upstream
  tunnels: WebSocketTunnels
  answered: Histogram<'service'>
  refused: Counter<'error'>
  close(): Promise<void>
}

/** A long poll of BOSH waits up to 60 s; the XMPP server allows 180. */
const boshTimeoutMs = 190_000
/** A cache that does not answer within this is away: the call goes on without it. */
const redisTimeoutMs = 500

const urlsOf = (config: GatewayConfig): Record<OwnerName, string> => ({
  user: config.userUrl,
  social: config.socialUrl,
  room: config.roomUrl,
  org: config.orgUrl,
  message: config.messageUrl,
  push: config.pushUrl,
})

/** Connects what the gateway stands on; closes what it opened when a part fails. `owners`: services that own a route. */
export async function connectDeps(config: GatewayConfig, owners: ReadonlySet<OwnerName>): Promise<Deps> {
  const log = createLogger({ service: 'gateway', level: config.logLevel, format: config.logFormat })
  const metrics = createMetrics('gateway')
  const { namespace } = config
  const redis = await connectRedis({ url: config.redisUrl, namespace, commandTimeout: redisTimeoutMs })
  const bus = await connectBus({
    url: config.natsUrl,
    namespace,
    replicas: config.natsReplicas,
    service: 'gateway',
    log,
    metrics,
  }).catch((error) => {
    redis.disconnect()
    throw error
  })
  const user = createClient({ baseUrl: config.userUrl, serviceKey: config.serviceKey, timeout: config.ownerTimeoutMs })
  return assemble({ config, owners, log, metrics, redis, bus, user })
}

function assemble(parts: {
  config: GatewayConfig
  owners: ReadonlySet<OwnerName>
  log: Logger
  metrics: Registry
  redis: Redis
  bus: Bus
  user: ApiClient
}): Deps {
  const { config, log, metrics, redis, bus, user } = parts
  const now = Date.now
  const addressOf = addressReader(config.trustedProxies)
  const redisHelp = new RedisHelp(redis, log, metrics)
  const buckets = new SharedBuckets(redisHelp, new OwnBuckets(now))
  const upstreams = [...parts.owners].map(
    (name) => [name, new Upstream({ name, url: urlsOf(config)[name], timeoutMs: config.ownerTimeoutMs, log })] as const,
  )
  const bosh = new Upstream({ name: 'xmpp', url: config.xmppHttpUrl, timeoutMs: boshTimeoutMs, log })
  return {
    config,
    log,
    metrics,
    redis,
    bus,
    now,
    addressOf,
    sessions: new SessionCache({ redis: redisHelp, user, bus, now }),
    limits: new RateLimits({ buckets, factor: config.limitFactor, now, metrics }),
    owners: new Map(upstreams),
    bosh,
    tunnels: new WebSocketTunnels({ url: config.xmppHttpUrl, addressOf, log }),
    answered: new Histogram({
      name: 'im_gateway_answer_seconds',
      help: 'Time from a call to the end of the answer of its service',
      labelNames: ['service'],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers: [metrics],
    }),
    refused: new Counter({
      name: 'im_gateway_refused_total',
      help: 'Calls that did not reach their service, by error',
      labelNames: ['error'],
      registers: [metrics],
    }),
    async close() {
      await Promise.all([...upstreams.map(([, upstream]) => upstream.close()), bosh.close(), user.close()])
      await bus.close()
      redis.disconnect()
    },
  }
}
