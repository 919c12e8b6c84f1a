import type { Logger } from './logs.ts'
import { Counter, type Registry } from './metrics.ts'
import type { Redis } from './redis.ts'
import { StoreAwayError } from './store-away.ts'

/** Redis for work that is faster or more exact with it and also works without. Nobody waits for a reconnection. */
export class OptionalRedis {
  readonly #redis: Redis
  readonly #log: Logger
  readonly #without: Counter
  #isWithout = false

  constructor(options: { redis: Redis; log: Logger; metrics: Registry }) {
    this.#redis = options.redis
    this.#log = options.log
    this.#without = new Counter({
      name: 'im_without_redis_total',
      help: 'What was done without Redis because it was away',
      registers: [options.metrics],
    })
  }

  /** Returns the result of `commands`, or undefined while Redis is away. Throws other errors. */
  async ask<T>(commands: (redis: Redis) => Promise<T>): Promise<T | undefined> {
    if (this.#redis.isAway) return this.#goWithout()
    try {
      const answer = await commands(this.#redis)
      if (this.#isWithout) this.#log.info('Redis is back')
      this.#isWithout = false
      return answer
    } catch (error) {
      if (error instanceof StoreAwayError) return this.#goWithout(error)
      throw error
    }
  }

  #goWithout(error?: StoreAwayError): undefined {
    if (!this.#isWithout) this.#log.warn({ err: error }, 'Redis is away; going on without it')
    this.#isWithout = true
    this.#without.inc()
  }
}
