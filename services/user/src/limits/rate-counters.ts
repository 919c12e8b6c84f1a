import { ContractError } from '@im/contracts'
import type { Redis } from '@im/service-kit'

export interface Limit {
  /** What is counted, with the thing it is counted for: `sms-number:8613800000001`. */
  key: string
  max: number
  seconds: number
}

const takeScript = `
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('get', key) or '0') >= tonumber(ARGV[2 * i - 1]) then
    return {i, math.max(redis.call('ttl', key), 1)}
  end
end
for i, key in ipairs(KEYS) do
  if redis.call('incr', key) == 1 then redis.call('expire', key, ARGV[2 * i]) end
end
return {0, 0}`

const giveBackScript = `if redis.call('exists', KEYS[1]) == 1 then redis.call('decr', KEYS[1]) end`

/** Counters in fixed windows that begin with the first count (transport.md §8). `factor` 0 switches them off. */
export class RateCounters {
  readonly #redis: Redis
  readonly #factor: number

  constructor(redis: Redis, factor: number) {
    this.#redis = redis
    this.#factor = factor
  }

  /** Counts one in all limits, or in none and gives the seconds to wait when one of them is full. */
  async take(...limits: Limit[]): Promise<{ full: Limit; waitSeconds: number } | undefined> {
    if (this.#factor === 0) return undefined
    const args = limits.flatMap(({ max, seconds }) => [this.scaled(max), seconds])
    const keys = limits.map(({ key }) => `limit:${key}`)
    const [index, waitSeconds] = (await this.#redis.eval(takeScript, keys.length, ...keys, ...args)) as [number, number]
    const full = limits[index - 1]
    return full && { full, waitSeconds }
  }

  /** Counts one in all limits, or in none and throws `error` with the seconds to wait. */
  async demand(error: 'RateLimited' | 'SmsTooFrequent', ...limits: Limit[]): Promise<void> {
    const refused = await this.take(...limits)
    if (refused) throw new ContractError(error, { args: [refused.waitSeconds], retryAfter: refused.waitSeconds })
  }

  /** Undoes one count. */
  async giveBack({ key }: Limit): Promise<void> {
    if (this.#factor > 0) await this.#redis.eval(giveBackScript, 1, `limit:${key}`)
  }

  /** Begins anew. */
  async clear({ key }: Limit): Promise<void> {
    if (this.#factor > 0) await this.#redis.del(`limit:${key}`)
  }

  /** Seconds to wait when the limit is full, without counting. */
  async waitFor({ key, max }: Limit): Promise<number | undefined> {
    if (this.#factor === 0) return undefined
    const [count, ttl] = await Promise.all([this.#redis.get(`limit:${key}`), this.#redis.ttl(`limit:${key}`)])
    return Number(count ?? 0) >= this.scaled(max) ? Math.max(ttl, 1) : undefined
  }

  /** A number of the specification times the factor, at most `cap`; 0 means no limit. */
  scaled(max: number, cap = Number.POSITIVE_INFINITY): number {
    return this.#factor === 0 ? 0 : Math.max(1, Math.min(cap, Math.round(max * this.#factor)))
  }
}
