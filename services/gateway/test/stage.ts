import { createHash, randomBytes } from 'node:crypto'
import type { Endpoint } from '@im/contracts'
import { archive } from '@im/contracts/message'
import {
  accounts,
  clientConfig,
  configChanged,
  internalConfig,
  internalSessions,
  profiles,
  sessionRevoked,
} from '@im/contracts/user'
import {
  type Bus,
  bindHandlers,
  connectBus,
  connectRedis,
  createLogger,
  createMetrics,
  createServiceApp,
  type Redis,
} from '@im/service-kit'
import { type Envelope, eventually, startService } from '@im/service-kit/testing'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { Type } from 'typebox'
import type { Deps } from '../src/deps.ts'
import { outerEndpoints, outerServices } from '../src/outer-endpoints.ts'
import { service } from '../src/service.ts'

export const sessionIdOf = (token: string) => createHash('sha256').update(token).digest('hex')
export const newToken = () => randomBytes(16).toString('hex')

export const alice = { userId: 10000001, device: 'android' }
export const bob = { userId: 10000002, device: 'ios' }

/** What a stub of a service tells about the call that reached it. */
export interface Seen {
  path: string
  caller?: { userId: number; sessionId: string; device: string }
  ip: string
  requestId: string
  token?: string
  isInternal: boolean
}

/** The real paths of some endpoints, answered with what arrived instead of what the service would say. */
const echoed = <E extends Endpoint>(endpoint: E) => ({
  ...endpoint,
  params: Type.Object({}),
  result: Type.Unsafe<Seen>({}),
})

/** An endpoint for everybody that learns who calls. */
export const optional = { ...clientConfig.getConfig, path: '/optional', name: 'optional', auth: 'optional' } as const

/** Services behind the gateway, built with the real edge; the sessions are a map. */
export class Owners {
  readonly sessions = new Map<string, { userId: number; device: string; expiresAt: number }>()
  lookups = 0
  isAuthApi = 0
  /** Runs before a lookup is answered. */
  beforeLookup: () => Promise<void> = async () => {}
  #app: FastifyInstance | undefined
  #port = 0

  get url() {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const log = createLogger({ service: 'stub', level: 'error', format: 'json' })
    const tell = async (_deps: object, { caller, request }: { caller?: Seen['caller']; request: never }) => {
      const { id, ip, accessToken, isInternal } = request as {
        id: string
        ip: string
        accessToken?: string
        isInternal: boolean
      }
      return { caller, ip, requestId: id, token: accessToken, isInternal } as Seen
    }
    const endpoints = {
      getUser: echoed(profiles.getUser),
      getByAccount: echoed(profiles.getUserByAccount),
      getConfig: echoed(clientConfig.getConfig),
      login: echoed(accounts.login),
      autoLogin: echoed(accounts.autoLogin),
      register: echoed(accounts.register),
      lastChats: echoed(archive.listLastChats),
      optional: echoed(optional),
    }
    const handlers = Object.fromEntries(Object.keys(endpoints).map((name) => [name, tell]))
    this.#app = createServiceApp({
      handlers: [
        ...bindHandlers(endpoints as never, handlers as never),
        ...bindHandlers({ getServerConfig: { ...internalConfig.getServerConfig, result: Type.Unsafe<object>({}) } }, {
          getServerConfig: () => ({ isAuthApi: this.isAuthApi }),
        } as never),
        ...bindHandlers(
          { resolveSession: internalSessions.resolveSession },
          {
            resolveSession: async (_deps: object, { params }) => {
              this.lookups++
              await this.beforeLookup()
              const session = this.sessions.get(params.sessionId)
              return session ? { exists: 1, session: { ...session, kind: 'user' as const } } : { exists: 0 }
            },
          },
        ),
      ] as never,
      deps: {},
      config: { serviceKeys: ['test-service-key'], callerKeys: ['test-caller-key'] },
      log,
      metrics: createMetrics('stub'),
    })
    await this.#app.listen({ host: '127.0.0.1', port: this.#port })
    this.#port = (this.#app.server.address() as { port: number }).port
  }

  async stop(): Promise<void> {
    this.#app?.server.closeAllConnections()
    await this.#app?.close()
  }

  /** A live session of a user, as the user service would make it. */
  signIn(user: { userId: number; device: string }, lifetimeMs = 3_600_000): string {
    const token = newToken()
    this.sessions.set(sessionIdOf(token), { ...user, expiresAt: Date.now() + lifetimeMs })
    return token
  }

  /** Copies a session to Redis, as the user service does with those it made or was asked for. */
  async copy(redis: Redis, token: string): Promise<void> {
    const session = { ...this.sessions.get(sessionIdOf(token)), kind: 'user' }
    await redis.set(`session:${sessionIdOf(token)}`, JSON.stringify(session))
  }
}

export interface Stage {
  gateway: { url: string; operationsUrl: string; close(): Promise<void> }
  /** What the gateway was started with. */
  env: Record<string, string>
  owners: Owners
  redis: Redis
  bus: Bus
  /** Sets isAuthApi as the console does: resolves when the gateway knows. */
  setAuthApi(value: 0 | 1): Promise<void>
  /** One call; the envelope, its `data` as a stub saw it. */
  call(path: string, options?: RequestInit): Promise<Envelope & { data: Seen; http: Response }>
  /** Ends sessions as the user service does: stores first, then the broadcast. */
  revoke(...tokens: string[]): Promise<void>
}

/** Settings of a gateway that finds every service at one address. */
export const everyServiceAt = (url: string) =>
  Object.fromEntries(outerServices.map((name) => [`${name.toUpperCase()}_URL`, url]))

/** A gateway on real Redis and NATS with stub owners behind it. */
export async function startGateway(
  t: Test,
  extra: Record<string, string> = {},
  overrides: Partial<Deps> = {},
): Promise<Stage> {
  const owners = new Owners()
  await owners.start()
  const { env, ...running } = await startService(t, service, {
    env: { ...everyServiceAt(owners.url), ...extra },
    overrides: { endpoints: [...outerEndpoints, optional], ...overrides },
  })
  const gateway = { ...running, operationsUrl: running.urls[1] ?? '' }
  const namespace = env['NAMESPACE'] ?? ''
  const redis = await connectRedis({ url: env['REDIS_URL'] ?? '', namespace })
  const bus = await connectBus({
    url: env['NATS_URL'] ?? '',
    namespace,
    replicas: 1,
    service: 'test',
    log: createLogger({ service: 'test', level: 'error', format: 'json' }),
  })
  t.after(async () => {
    await owners.stop()
    await bus.close()
    redis.disconnect()
  })
  return {
    gateway,
    env,
    owners,
    redis,
    bus,
    async setAuthApi(value) {
      owners.isAuthApi = value
      await bus.broadcast(configChanged, { changed: ['isAuthApi'], at: Date.now() })
      const { serverConfig } = running.deps
      if (serverConfig) await eventually(() => serverConfig.current?.isAuthApi === value)
    },
    async call(path, options) {
      const http = await fetch(gateway.url + path, options)
      const text = await http.text()
      return { ...(JSON.parse(text || '{}') as Envelope & { data: Seen }), http }
    },
    async revoke(...tokens) {
      const sessionIds = tokens.map(sessionIdOf)
      for (const id of sessionIds) {
        owners.sessions.delete(id)
        await redis.del(`session:${id}`)
      }
      await bus.broadcast(sessionRevoked, {
        userId: alice.userId,
        sessionIds,
        devices: sessionIds.map(() => 'android'),
        reason: 'logout',
        at: Date.now(),
      })
    },
  }
}

/** A form POST. */
export const form = (fields: Record<string, string>, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields),
  headers,
})

export const codes = {
  success: 1,
  invalidParams: 1010101,
  tooLarge: 1010103,
  rateLimited: 1020103,
  unavailable: 1020104,
  unknown: 1020105,
  tokenMissing: 1030101,
  tokenInvalid: 1030102,
  signature: 1030202,
}
