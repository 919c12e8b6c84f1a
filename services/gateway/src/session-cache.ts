import { internalSessions, sessionRevoked } from '@im/contracts/user'
import type { Bus, ServiceClient } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { RedisHelp } from './redis-help.ts'

export interface Session {
  userId: number
  device: string
  /** Milliseconds. */
  expiresAt: number
}

/** Known not to be live. */
export const noSession = Symbol('no session')
export type Finding = Session | typeof noSession

/** How long (ms) a session is believed without asking again. Revocations are heard at once; this bounds what a lost one can do. */
const liveFor = 60_000
const absentFor = 5_000
/** How exact those are; reading the clock for every call costs more than the lookup. The end of a session is exact. */
const clockStep = 500

/**
 * Sessions by session id (SHA-256 hex of the access token): memory, then Redis, then the user service. A session revoked
 * while it is being looked up is not remembered, and nothing is remembered while revocations can't be heard.
 */
export class SessionCache {
  readonly #redis: RedisHelp
  readonly #user: ServiceClient
  readonly #now: () => number
  readonly #known = new LRUCache<string, Session>({ max: 100_000, ttlResolution: clockStep })
  readonly #absent = new LRUCache<string, true>({ max: 10_000, ttl: absentFor, ttlResolution: clockStep })
  readonly #lookups = new Map<string, Promise<Finding>>()
  #hearsRevocations = true

  constructor(options: { redis: RedisHelp; user: ServiceClient; bus: Bus; now: () => number }) {
    this.#redis = options.redis
    this.#user = options.user
    this.#now = options.now
    options.bus.listen(sessionRevoked, ({ sessionIds }) => this.forget(sessionIds))
    options.bus.onConnection((connected) => {
      this.#hearsRevocations = connected
      this.#known.clear()
      this.#lookups.clear()
    })
  }

  /** What memory knows; undefined when it has to be looked up. */
  remembered(sessionId: string): Finding | undefined {
    const session = this.#known.get(sessionId)
    if (session) {
      if (session.expiresAt > this.#now()) return session
      this.#known.delete(sessionId)
      return undefined
    }
    return this.#absent.has(sessionId) ? noSession : undefined
  }

  /** Asks Redis, then the user service. Throws ServiceUnavailable when neither can tell. */
  lookUp(sessionId: string): Promise<Finding> {
    const running = this.#lookups.get(sessionId)
    if (running) return running
    const lookup = this.#ask(sessionId).then((found) => {
      if (this.#lookups.get(sessionId) === lookup) this.#remember(sessionId, found)
      return found
    })
    this.#lookups.set(sessionId, lookup)
    const done = () => {
      if (this.#lookups.get(sessionId) === lookup) this.#lookups.delete(sessionId)
    }
    lookup.then(done, done)
    return lookup
  }

  forget(sessionIds: readonly string[]): void {
    for (const id of sessionIds) {
      this.#known.delete(id)
      this.#lookups.delete(id)
    }
  }

  #remember(sessionId: string, found: Finding): void {
    if (found === noSession) this.#absent.set(sessionId, true)
    else if (this.#hearsRevocations)
      this.#known.set(sessionId, found, { ttl: Math.min(liveFor, found.expiresAt - this.#now()) })
  }

  async #ask(sessionId: string): Promise<Finding> {
    const cached = await this.#redis.ask((redis) => redis.get(`session:${sessionId}`))
    const session = cached ? (JSON.parse(cached) as Session) : undefined
    if (session && session.expiresAt > this.#now()) return session
    const answer = await this.#user.call(internalSessions.resolveSession, { sessionId, fresh: 0 })
    return answer.session && answer.session.expiresAt > this.#now() ? answer.session : noSession
  }
}
