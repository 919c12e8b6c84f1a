import type { IncomingMessage } from 'node:http'
import { endpoints, type ServiceName } from '@im/contracts'
import { type Connections, Counter, createServiceClient, Histogram, type ServiceClient } from '@im/service-kit'
import { addressReader } from './client-address.ts'
import type { GatewayConfig } from './config.ts'
import { Upstream } from './forward.ts'
import { RateLimits } from './rate-limits.ts'
import { RedisHelp } from './redis-help.ts'
import { ownersOf, type RouteTable, routeTable } from './route-table.ts'
import { SessionCache } from './session-cache.ts'
import { OwnBuckets, SharedBuckets } from './token-buckets.ts'
import { WebSocketTunnels } from './xmpp-websocket.ts'

type OwnerName = Exclude<ServiceName, 'gateway'>

export interface Deps extends Connections<GatewayConfig> {
  table: RouteTable
  user: ServiceClient
  addressOf: (request: IncomingMessage) => string
  sessions: SessionCache
  limits: RateLimits
  owners: ReadonlyMap<OwnerName, Upstream>
  /** BOSH of the XMPP server. */
  bosh: Upstream
  tunnels: WebSocketTunnels
  answered: Histogram<'service'>
  refused: Counter<'error'>
}

/** A long poll of BOSH waits up to 60 s; the XMPP server allows 180. */
const boshTimeoutMs = 190_000

const urlsOf = (config: GatewayConfig): Record<OwnerName, string> => ({
  user: config.userUrl,
  social: config.socialUrl,
  room: config.roomUrl,
  org: config.orgUrl,
  message: config.messageUrl,
  push: config.pushUrl,
})

/** Puts the gateway together. */
export function createDeps(runtime: Connections<GatewayConfig>): Omit<Deps, keyof Connections> {
  const { config, log, metrics, redis, bus, now } = runtime
  const table = routeTable(endpoints)
  const addressOf = addressReader(config.trustedProxies)
  const redisHelp = new RedisHelp(redis, log, metrics)
  const user = createServiceClient({
    baseUrl: config.userUrl,
    serviceKeys: config.serviceKeys,
    timeoutMs: config.ownerTimeoutMs,
  })
  const buckets = new SharedBuckets(redisHelp, new OwnBuckets(now))
  const owners = [...ownersOf(table)].map(
    (name) => [name, new Upstream({ name, url: urlsOf(config)[name], timeoutMs: config.ownerTimeoutMs, log })] as const,
  )
  return {
    table,
    user,
    addressOf,
    sessions: new SessionCache({ redis: redisHelp, user, bus, now }),
    limits: new RateLimits({ buckets, factor: config.limitFactor, now, metrics }),
    owners: new Map(owners),
    bosh: new Upstream({ name: 'xmpp', url: config.xmppHttpUrl, timeoutMs: boshTimeoutMs, log }),
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
  }
}
