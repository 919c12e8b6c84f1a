import type { IncomingHttpHeaders } from 'node:http'
import type { SessionKind } from '@im/contracts'
import { internalSessions, sessionRevoked } from '@im/contracts/user'
import {
  type Bus,
  endedSessionsHeader,
  endedSessionsOf,
  type OptionalRedis,
  type ServiceClient,
  upTo,
} from '@im/service-kit'
import { LRUCache } from 'lru-cache'

export interface Session {
  userId: number
  device: string
  kind: SessionKind
  /** Where the user was seen last, and when (`performance.now()`): see seen-addresses.ts. */
  seen?: { ip: string; at: number }
  /** Only from `readWithRole`. */
  role?: number
  /** Milliseconds. */
  expiresAt: number
}

/** `ended` also means that there never was such a session. */
export type SessionState = Session | 'ended'

/** How long (ms) a session is kept without asking again. Revocations are broadcast; this is in case one is missed. */
const liveFor = 60_000
/** How long (ms) an unknown session is kept as unknown without asking again. */
const unknownFor = 5_000
/** How exact (ms) these times are, because reading the clock for each call costs more than the lookup. `expiresAt` is exact. */
const clockStep = 500

/**
 * Finds sessions by id (SHA-256 hex of the access token) in memory, then Redis, then the user service. A session that is revoked
 * during the lookup is not kept. While NATS is away revocations could be missed, so nothing is taken from memory.
 */
export class SessionCache {
  readonly #redis: OptionalRedis
  readonly #user: ServiceClient
  readonly #now: () => number
  readonly #live = new LRUCache<string, Session>({ ...upTo(100_000), ttlResolution: clockStep })
  readonly #unknown = new LRUCache<string, true>({ ...upTo(10_000), ttl: unknownFor, ttlResolution: clockStep })
  /** Revoked sessions stay revoked, even when Redis still has an old copy. */
  readonly #revoked = new LRUCache<string, true>(upTo(100_000))
  readonly #lookups = new Map<string, Promise<SessionState>>()
  #hearsRevocations = true

  constructor(options: { redis: OptionalRedis; user: ServiceClient; bus: Bus; now: () => number }) {
    this.#redis = options.redis
    this.#user = options.user
    this.#now = options.now
    const revoke = ({ sessionIds }: { sessionIds: readonly string[] }) => this.#revoke(sessionIds)
    options.bus.listen(sessionRevoked, revoke)
    // The user service may have died, or lost NATS, between the end of a session and its broadcast.
    options.bus.hear(sessionRevoked, revoke)
    options.bus.onConnection((connected) => {
      this.#hearsRevocations = connected
      this.#live.clear()
      this.#lookups.clear()
    })
  }

  /** The session as it is in memory; undefined when it has to be read. */
  known(sessionId: string): SessionState | undefined {
    const session = this.#live.get(sessionId)
    if (session) {
      if (session.expiresAt > this.#now()) return session
      // It may have been renewed.
      this.#live.delete(sessionId)
      return undefined
    }
    return this.#revoked.has(sessionId) || this.#unknown.has(sessionId) ? 'ended' : undefined
  }

  /** Asks Redis, then the user service. Rejects with ServiceUnavailable when neither answers. */
  read(sessionId: string): Promise<SessionState> {
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

  /** Asks the user service, which also answers the user's role at this moment. The answer is not kept. */
  async readWithRole(sessionId: string): Promise<SessionState> {
    const { session } = await this.#user.call(internalSessions.resolveSession, { sessionId, fresh: 1 })
    return this.#ifLive(session)
  }

  /** Whether Redis has a copy of the session. The user service is not asked. */
  async hasCopy(sessionId: string): Promise<boolean> {
    return (await this.#redis.ask((redis) => redis.exists(`session:${sessionId}`))) === 1
  }

  /**
   * Believes no session any more that ended in this call, to be called before the client can read the answer: the broadcast may
   * come later.
   */
  hearAnswer(headers: IncomingHttpHeaders): void {
    const ended = headers[endedSessionsHeader]
    if (ended !== undefined) this.#revoke(endedSessionsOf(ended))
  }

  #revoke(sessionIds: readonly string[]): void {
    for (const id of sessionIds) {
      this.#revoked.set(id, true)
      this.#live.delete(id)
      this.#lookups.delete(id)
    }
  }

  #remember(sessionId: string, found: SessionState): void {
    if (found === 'ended') this.#unknown.set(sessionId, true)
    else if (this.#hearsRevocations)
      this.#live.set(sessionId, found, { ttl: Math.min(liveFor, found.expiresAt - this.#now()) })
  }

  async #ask(sessionId: string): Promise<SessionState> {
    const copy = await this.#redis.ask((redis) => redis.get(`session:${sessionId}`))
    const session = this.#ifLive(copy ? (JSON.parse(copy) as Session) : undefined)
    if (session !== 'ended') return session
    const answer = await this.#user.call(internalSessions.resolveSession, { sessionId, fresh: 0 })
    return this.#ifLive(answer.session)
  }

  #ifLive(session: Session | undefined): SessionState {
    return session && session.expiresAt > this.#now() ? session : 'ended'
  }
}
