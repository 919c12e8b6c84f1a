import { Counter, type Logger, type Redis, type Registry } from '@im/service-kit'

/** How long Redis is left alone after it did not answer (ms). */
const rest = 1000

/**
 * Redis makes the gateway fast and exact, but is not needed: while it is away the session comes from the user service and
 * limits are counted in process. Nothing here waits for a reconnection.
 */
export class RedisHelp {
  readonly #redis: Redis
  readonly #log: Logger
  readonly #without: Counter
  #restUntil = 0

  constructor(redis: Redis, log: Logger, metrics: Registry) {
    this.#redis = redis
    this.#log = log
    this.#without = new Counter({
      name: 'im_gateway_without_redis_total',
      help: 'Lookups and limit counts made without Redis because it was away',
      registers: [metrics],
    })
  }

  /** The answer of Redis, or undefined when it is away. */
  async ask<T>(command: (redis: Redis) => Promise<T>): Promise<T | undefined> {
    if (this.#redis.status === 'ready' && Date.now() >= this.#restUntil) {
      try {
        return await command(this.#redis)
      } catch (error) {
        this.#restUntil = Date.now() + rest
        this.#log.warn({ err: error }, 'Redis is away; going on without it')
      }
    }
    this.#without.inc()
    return undefined
  }
}
