import { isStoreAway, type Logger, type Redis, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { SessionDocument } from './sessions-repository.ts'

/** What gateways need of a session; `expiresAt` in milliseconds. */
export interface CachedSession {
  sessionId: string
  userId: number
  device: string
  kind: 'user'
  expiresAt: number
}

export const copyOf = ({ sessionId, userId, device, expiresAt }: SessionDocument): CachedSession => ({
  sessionId,
  userId,
  device,
  kind: 'user',
  expiresAt: expiresAt.getTime(),
})

/** How long (ms) a copy lives at most, in case this process dies before it could remove it. */
const copyLifetime = 600_000
/** How often (ms) copies that could not be removed are tried again. */
const retryEvery = 200

/**
 * Copies of live sessions in Redis under `session:<sessionId>`, which every gateway reads. Sessions work without them, so nothing
 * here fails while Redis is away. Copies that could not be removed are removed when Redis is back.
 */
export class SessionCache {
  readonly #redis: Redis
  readonly #log: Logger
  /** Copies that were just removed: the event of the revocation need not remove them again. */
  readonly #removed = new LRUCache<string, true>({ ...upTo(10_000), ttl: 60_000 })
  readonly #unremoved = new LRUCache<string, true>({ ...upTo(100_000), ttl: copyLifetime })
  #retry: NodeJS.Timeout | undefined

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis
    this.#log = log
  }

  /** Returns false when Redis was away. */
  async put({ sessionId, ...session }: CachedSession, now: number): Promise<boolean> {
    const lifetime = Math.min(session.expiresAt - now, copyLifetime)
    if (lifetime <= 0 || this.#redis.isAway) return false
    try {
      await this.#redis.set(keyOf(sessionId), JSON.stringify(session), 'PX', lifetime)
      return true
    } catch (error) {
      this.#tellAway(error, 'a session was not copied')
      // Redis may still write the copy, perhaps after the session has ended.
      this.#removeLater([sessionId])
      return false
    }
  }

  /** Returns false when Redis was away: then this process removes the copies later, if it lives that long. */
  async remove(sessionIds: readonly string[]): Promise<boolean> {
    if (!sessionIds.length) return true
    try {
      await this.#redis.del(...sessionIds.map(keyOf))
      for (const id of sessionIds) this.#removed.set(id, true)
      return true
    } catch (error) {
      this.#tellAway(error, 'copies of revoked sessions stay until Redis is back')
      this.#removeLater(sessionIds)
      return false
    }
  }

  /** Removes copies that this process has not removed itself. */
  removeOnceMore(sessionIds: readonly string[]): Promise<boolean> {
    return this.remove(sessionIds.filter((id) => !this.#removed.has(id)))
  }

  /** Logs that Redis is away, and throws every other error. */
  #tellAway(error: unknown, what: string): void {
    if (!isStoreAway(error)) throw error
    this.#log.warn({ err: error }, what)
  }

  #removeLater(sessionIds: readonly string[]): void {
    for (const id of sessionIds) this.#unremoved.set(id, true)
    this.#retry ??= setInterval(() => void this.#removeNow(), retryEvery).unref()
  }

  async #removeNow(): Promise<void> {
    if (this.#redis.isAway) return
    const ids = [...this.#unremoved.keys()].slice(0, 1000)
    try {
      if (ids.length) await this.#redis.del(...ids.map(keyOf))
    } catch {
      // The next turn tries again.
      return
    }
    for (const id of ids) this.#unremoved.delete(id)
    if (this.#unremoved.size) return
    clearInterval(this.#retry)
    this.#retry = undefined
  }
}

const keyOf = (sessionId: string) => `session:${sessionId}`
