import type { Endpoint } from '@im/contracts'
import { configChanged, internalConfig, type ServerConfig } from '@im/contracts/user'
import {
  type Bus,
  blockOutput,
  type Closable,
  type Connections,
  Counter,
  createServiceClient,
  FollowedServers,
  FollowedValue,
  Histogram,
  idleConnectionMs,
  type Logger,
  type ServiceClient,
} from '@im/service-kit'
import { Agent } from 'undici'
import { CallLog } from './call-log.ts'
import { CallLimits } from './calls/call-limits.ts'
import { connectionLifetime, Upstream } from './calls/upstream.ts'
import { type GatewayConfig, type PeerName, serviceUrl } from './config.ts'
import { AddressBudget } from './limits/address-budget.ts'
import { outerEndpoints, outerServices } from './outer-endpoints.ts'
import { type Page, plainPage, readPage } from './pages/page.ts'
import { Readiness } from './readiness.ts'
import { SeenAddresses } from './sessions/seen-addresses.ts'
import { SessionCache } from './sessions/session-cache.ts'
import { type IsTrustedProxy, trustedProxies } from './trusted-proxies.ts'
import { XmppServers } from './xmpp/xmpp-servers.ts'

export interface Deps extends Connections<GatewayConfig> {
  /** The endpoints that are served. */
  endpoints: readonly Endpoint[]
  /** What browsers get below /console and /mp. */
  page: Page
  isTrustedProxy: IsTrustedProxy
  user: ServiceClient
  sessions: SessionCache
  seenAddresses: SeenAddresses
  /** Says whether calls must be signed. Without API_KEY nobody can sign, and it is not asked. */
  serverConfig: FollowedValue<ServerConfig> | undefined
  limits: CallLimits
  /** Bytes of request bodies that are in memory. */
  bodyMemory: AddressBudget
  upstreams: ReadonlyMap<PeerName, Upstream>
  /** Uploads and downloads under way. */
  streams: AddressBudget
  /** How long (ms) the next part of an upload may take to arrive, and an app may take to read the next part of a file. */
  longestPause: number
  /** Connections for bodies that stream. */
  streamAgent: Agent
  xmppServers: XmppServers
  readiness: Readiness
  callLog: CallLog
  answered: Histogram<'service'>
  refused: Counter<'error'>
}

const mebibyte = 1024 * 1024

/** Most uploads and downloads at once: slow clients hold theirs for long. */
const mostStreams = 1024

/** Puts the gateway together. */
export function createDeps(runtime: Connections<GatewayConfig>): Omit<Deps, keyof Connections> {
  const { config, log, metrics, optionalRedis, rateCounters, bus, now } = runtime
  const { serviceKeys, serviceTimeoutMs, limitFactor } = config
  const user = createServiceClient({ baseUrl: config.userUrl, serviceKeys, timeoutMs: serviceTimeoutMs })
  const sessions = new SessionCache({ redis: optionalRedis, user, bus, now })
  return {
    endpoints: outerEndpoints,
    page: readPage(config.consolePage ?? plainPage),
    isTrustedProxy: trustedProxies(config.trustedProxies),
    user,
    sessions,
    seenAddresses: new SeenAddresses(optionalRedis),
    serverConfig: config.apiKey === undefined ? undefined : followServerConfig(user, bus, log),
    limits: new CallLimits({ counters: rateCounters, factor: limitFactor, now }),
    bodyMemory: new AddressBudget({ most: 64 * mebibyte, mostOfAddress: 8 * mebibyte }),
    upstreams: new Map(
      outerServices.map((name) => {
        const options = { name, url: serviceUrl(config, name), connectTimeoutMs: serviceTimeoutMs, log }
        return [name, new Upstream({ ...options, onAnswer: (headers) => sessions.hearAnswer(headers) })]
      }),
    ),
    streams: new AddressBudget({ most: mostStreams, mostOfAddress: mostStreams / 4 }),
    longestPause: 30_000,
    streamAgent: new Agent({
      connections: mostStreams,
      clientTtl: connectionLifetime,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      connect: { timeout: serviceTimeoutMs },
    }),
    xmppServers: new XmppServers(new FollowedServers({ urls: config.xmppHttpUrl, log })),
    readiness: new Readiness(runtime),
    callLog: new CallLog(log.isLevelEnabled('info') ? blockOutput() : undefined),
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

const followServerConfig = (user: ServiceClient, bus: Bus, log: Logger) =>
  new FollowedValue({
    read: () => user.call(internalConfig.getServerConfig, {}),
    changed: configChanged,
    bus,
    log,
  })

/** What is closed after the last call and before the stores. */
export const partsToClose = (deps: Deps): Closable[] => [
  ...deps.upstreams.values(),
  { close: () => deps.streamAgent.destroy() },
  deps.user,
  deps.readiness,
  deps.xmppServers,
  ...(deps.serverConfig ? [deps.serverConfig] : []),
  deps.callLog,
]
