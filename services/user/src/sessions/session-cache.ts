import { isStoreAway, type Logger, type Redis } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/** What gateways need of a session; `expiresAt` in milliseconds. */
export interface CachedSession {
  userId: number
  device: string
  kind: 'user'
  expiresAt: number
}

/** How long (ms) a copy lives at most: it bounds what a removal that was lost with this process can do. */
const copyLifetime = 600_000
/** How often (ms) it is looked whether Redis is back, while there is something to remove. */
const retryEvery = 200

/**
 * Copies of live sessions in Redis under `session:<sessionId>`, read by every gateway. They are a help only: nothing here
 * fails while Redis is away. What could not be removed then is removed as soon as Redis is back.
 */
export class SessionCache {
  readonly #redis: Redis
  readonly #log: Logger
  readonly #unremoved = new LRUCache<string, true>({ max: 100_000, ttl: copyLifetime })
  #retry: NodeJS.Timeout | undefined

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis
    this.#log = log
  }

  /** False when there may be no copy. */
  async put(sessionId: string, session: CachedSession, now: number): Promise<boolean> {
    const lifetime = Math.min(session.expiresAt - now, copyLifetime)
    if (lifetime <= 0 || this.#redis.isAway) return false
    try {
      await this.#redis.set(keyOf(sessionId), JSON.stringify(session), 'PX', lifetime)
      return true
    } catch (error) {
      this.#tellAway(error, 'a session was not copied')
      // Redis may write it after all, when the session has ended.
      this.#removeLater([sessionId])
      return false
    }
  }

  async remove(sessionIds: readonly string[]): Promise<void> {
    if (!sessionIds.length) return
    try {
      await this.#redis.del(...sessionIds.map(keyOf))
    } catch (error) {
      this.#tellAway(error, 'copies of revoked sessions stay until Redis is back')
      this.#removeLater(sessionIds)
    }
  }

  /** An error of our own making is thrown. */
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
      // Away again.
      return
    }
    for (const id of ids) this.#unremoved.delete(id)
    if (this.#unremoved.size) return
    clearInterval(this.#retry)
    this.#retry = undefined
  }
}

const keyOf = (sessionId: string) => `session:${sessionId}`
