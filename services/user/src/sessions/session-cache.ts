import type { Redis } from '@im/service-kit'

/** What the gateway needs of a session; `expiresAt` in milliseconds. */
export interface CachedSession {
  userId: number
  device: string
  expiresAt: number
}

/** Milliseconds a copy lives at most, so that none outlives a lost removal for long. */
const copyLifetime = 3_600_000

/** Copies of live sessions in Redis under `session:<sessionId>`, read by every gateway. */
export class SessionCache {
  readonly #redis: Redis

  constructor(redis: Redis) {
    this.#redis = redis
  }

  async get(sessionId: string): Promise<CachedSession | undefined> {
    const text = await this.#redis.get(`session:${sessionId}`)
    return text ? (JSON.parse(text) as CachedSession) : undefined
  }

  async put(sessionId: string, session: CachedSession, now: number): Promise<void> {
    const lifetime = Math.min(session.expiresAt - now, copyLifetime)
    if (lifetime > 0) await this.#redis.set(`session:${sessionId}`, JSON.stringify(session), 'PX', lifetime)
  }

  async drop(sessionIds: readonly string[]): Promise<void> {
    if (sessionIds.length) await this.#redis.del(...sessionIds.map((id) => `session:${id}`))
  }
}
