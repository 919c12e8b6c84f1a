import type { OptionalRedis } from '@im/service-kit'
import type { Session } from './session-cache.ts'

/** For how long (seconds) it is known that a user called from an address. */
const knownFor = 600
/** How often (ms) that is noted of a session: at each call would be too often. */
const noteEvery = 30_000

/**
 * Notes from which addresses users call with the sessions of their apps, for the message service: mobile apps send no token with an
 * avatar (spec 12-files.md).
 */
export class SeenAddresses {
  readonly #redis: OptionalRedis

  constructor(redis: OptionalRedis) {
    this.#redis = redis
  }

  /** `at`: `performance.now()` of the call. Nobody waits for it. */
  note(session: Session, sessionId: string, ip: string, at: number): void {
    const { seen, kind, userId } = session
    if (kind !== 'user' || (seen && seen.ip === ip && at - seen.at < noteEvery)) return
    session.seen = { ip, at }
    void this.#redis.ask((redis) => redis.set(`seen:${userId}:${ip}`, sessionId, 'EX', knownFor)).catch(() => {})
  }
}
