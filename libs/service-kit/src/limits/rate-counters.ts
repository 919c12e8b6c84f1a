import { createHash } from 'node:crypto'
import { ContractError } from '@im/contracts'
import { LRUCache } from 'lru-cache'
import { Counter, type Registry } from '../metrics.ts'
import type { OptionalRedis } from '../optional-redis.ts'
import type { Redis } from '../redis.ts'
import { upTo } from '../up-to.ts'
import { MemoryCounters } from './memory-counters.ts'

export interface Limit {
  /** The name of the limit, a colon, and what it is counted for: `sms-number:8613800000001`. */
  key: string
  max: number
  /** Length of the window, which begins with the first count. */
  seconds: number
}

export interface Refusal {
  /** The full limit with the longest wait. */
  full: Limit
  waitSeconds: number
}

/**
 * Counts as many as are wanted and have room, or none when that is less than ARGV[4]; returns how many, or the negative milliseconds
 * until the window ends.
 */
const takeScript = `
local counted = tonumber(redis.call('get', KEYS[1]) or '0')
local granted = math.min(tonumber(ARGV[3]), tonumber(ARGV[1]) - counted)
if granted < tonumber(ARGV[4]) then return -math.max(redis.call('pttl', KEYS[1]), 1) end
redis.call('incrby', KEYS[1], granted)
if counted == 0 then redis.call('pexpire', KEYS[1], ARGV[2]) end
return granted`

/** Counts ARGV[3] unless it is counted in this window. Returns 0, or the milliseconds until the window ends. */
const takeOnceScript = `
if redis.call('sismember', KEYS[1], ARGV[3]) == 1 then return 0 end
local counted = redis.call('scard', KEYS[1])
if counted >= tonumber(ARGV[1]) then return math.max(redis.call('pttl', KEYS[1]), 1) end
redis.call('sadd', KEYS[1], ARGV[3])
if counted == 0 then redis.call('pexpire', KEYS[1], ARGV[2]) end
return 0`

const giveBackScript = `
if tonumber(redis.call('get', KEYS[1]) or '0') > 0 then redis.call('decr', KEYS[1]) end`

/** How long (ms) this process remembers a full window without asking Redis, so that an attack costs Redis nothing. */
const rememberFullMs = 1000

/**
 * Counts for the limits of transport.md §8, in fixed windows that begin with the first count. They are kept in Redis and exact
 * over all replicas; while Redis is away each process counts alone. Each script uses one key, so Redis may be a cluster.
 */
export class RateCounters {
  readonly #redis: OptionalRedis
  readonly #factor: number
  readonly #now: () => number
  readonly #memory: MemoryCounters
  readonly #full = new LRUCache<string, { endsAt: number; forgetAt: number }>(upTo(50_000))
  readonly #refused: Counter<'limit'>

  /** `factor` multiplies every limit; 0 switches them off. `now` gives milliseconds that never jump; tests replace it. */
  constructor(options: { redis: OptionalRedis; factor: number; now?: () => number; metrics: Registry }) {
    const { now = () => performance.now() } = options
    this.#redis = options.redis
    this.#factor = options.factor
    this.#now = now
    this.#memory = new MemoryCounters(now)
    this.#refused = new Counter({
      name: 'im_limited_total',
      help: 'Refusals because a limit was reached',
      labelNames: ['limit'],
      registers: [options.metrics],
    })
  }

  /** Counts one in all limits, or in none and returns the one that is full. */
  async take(...limits: readonly Limit[]): Promise<Refusal | undefined> {
    if (this.#factor === 0 || !limits.length) return undefined
    const refusal = this.#remembered(limits) ?? (await this.#take(limits))
    if (refusal) this.#refused.inc({ limit: refusal.full.key.split(':', 1)[0] ?? '' })
    return refusal
  }

  /**
   * Counts up to `wanted` at once, for callers that then spend them without asking again. Returns how many were counted, or the
   * refusal when there is no room for `least`.
   */
  async takeBlock(limit: Limit, wanted: number, least = 1): Promise<number | Refusal> {
    if (this.#factor === 0) return wanted
    const refusal = this.#remembered([limit]) ?? (await this.#takeBlock(limit, wanted, least))
    if (typeof refusal === 'object') this.#refused.inc({ limit: refusal.full.key.split(':', 1)[0] ?? '' })
    return refusal
  }

  /**
   * Counts a cause, once however often it comes within the window: who died between the count and what was counted for counts
   * nothing new when they do it again. For limits of few, whose causes are all kept. Not to be mixed with `take` of one key.
   */
  async takeOnce(limit: Limit, cause: string): Promise<Refusal | undefined> {
    if (this.#factor === 0) return undefined
    const scaled = this.#stored(limit)
    const { key, max, seconds } = scaled
    const wait =
      (await this.#redis.ask((redis) => redis.eval(takeOnceScript, 1, causesKey(key), max, seconds * 1000, cause))) ??
      this.#memory.takeOnce(scaled, cause)
    if (!wait) return undefined
    this.#refused.inc({ limit: key.split(':', 1)[0] ?? '' })
    return refusalOf([limit], [wait as number])
  }

  /** Undoes `takeOnce`. */
  async giveBackOnce(limit: Limit, cause: string): Promise<void> {
    if (this.#factor === 0) return
    const key = storedKey(limit)
    await this.#redis.ask((redis) => redis.srem(causesKey(key), cause))
    this.#memory.giveBackOnce(key, cause)
  }

  /** Counts one in all limits, or in none and throws `error` with the time to wait. */
  async demand(error: LimitError, ...limits: readonly Limit[]): Promise<void> {
    const refusal = await this.take(...limits)
    if (refusal) throw limitError(error, refusal.waitSeconds)
  }

  /** Undoes one count of each. */
  async giveBack(...limits: readonly Limit[]): Promise<void> {
    if (this.#factor === 0 || !limits.length) return
    const keys = limits.map(storedKey)
    await this.#redis.ask((redis) => Promise.all(keys.map((key) => redis.eval(giveBackScript, 1, redisKey(key)))))
    for (const key of keys) {
      this.#memory.giveBack(key)
      this.#full.delete(key)
    }
  }

  /** Forgets what was counted. */
  async clear(...limits: readonly Limit[]): Promise<void> {
    if (this.#factor === 0 || !limits.length) return
    const keys = limits.map(storedKey)
    await this.#redis.ask((redis) => Promise.all(keys.map((key) => redis.del(redisKey(key)))))
    for (const key of keys) {
      this.#memory.clear(key)
      this.#full.delete(key)
    }
  }

  /** `max` times the factor, at most `cap`; 0 when limits are off. */
  scaled(max: number, cap = Number.POSITIVE_INFINITY): number {
    return this.#factor === 0 ? 0 : Math.max(1, Math.min(cap, Math.round(max * this.#factor)))
  }

  async #take(limits: readonly Limit[]): Promise<Refusal | undefined> {
    const scaled = limits.map((limit) => this.#stored(limit))
    const waits = await this.#redis.ask((redis) => Promise.all(scaled.map((limit) => takeOne(redis, limit))))
    if (!waits) {
      const full = this.#memory.take(scaled)
      return full && refusalOf(limits, full)
    }
    if (waits.every((wait) => wait === 0)) return undefined
    const now = this.#now()
    scaled.forEach(({ key }, index) => {
      const wait = waits[index] ?? 0
      if (wait > 0) this.#full.set(key, { endsAt: now + wait, forgetAt: now + rememberFullMs })
    })
    await this.giveBack(...limits.filter((_, index) => waits[index] === 0))
    return refusalOf(limits, waits)
  }

  async #takeBlock(limit: Limit, wanted: number, least: number): Promise<number | Refusal> {
    const scaled = this.#stored(limit)
    const granted =
      (await this.#redis.ask((redis) => takeFrom(redis, scaled, wanted, least))) ??
      this.#memory.takeBlock(scaled, wanted, least)
    if (granted > 0) return granted
    const now = this.#now()
    // A window without room for many may have room for one.
    if (least === 1) this.#full.set(scaled.key, { endsAt: now - granted, forgetAt: now + rememberFullMs })
    return refusalOf([limit], [-granted])
  }

  #stored(limit: Limit): Limit {
    return { ...limit, key: storedKey(limit), max: this.scaled(limit.max) }
  }

  #remembered(limits: readonly Limit[]): Refusal | undefined {
    const now = this.#now()
    const waits = limits.map((limit) => {
      const window = this.#full.get(storedKey(limit))
      return window && window.forgetAt > now ? Math.max(0, window.endsAt - now) : 0
    })
    return waits.some((wait) => wait > 0) ? refusalOf(limits, waits) : undefined
  }
}

export type LimitError = 'RateLimited' | 'SmsTooFrequent' | 'LoginTooOften'

/** The error of a limit. The text of LoginTooOften has minutes, that of the others seconds. */
export function limitError(error: LimitError, waitSeconds: number): ContractError {
  const wait = error === 'LoginTooOften' ? Math.ceil(waitSeconds / 60) : waitSeconds
  return new ContractError(error, { args: [wait], retryAfter: waitSeconds })
}

/** Returns how many were counted, or the negative number of milliseconds to wait. */
const takeFrom = async (redis: Redis, { key, max, seconds }: Limit, wanted: number, least = 1) =>
  (await redis.eval(takeScript, 1, redisKey(key), max, seconds * 1000, wanted, least)) as number

/** Milliseconds to wait, 0 when one was counted. */
const takeOne = async (redis: Redis, limit: Limit) => Math.max(0, -(await takeFrom(redis, limit, 1)))

function refusalOf(limits: readonly Limit[], waits: readonly number[]): Refusal {
  const longest = waits.indexOf(Math.max(...waits))
  return { full: limits[longest] as Limit, waitSeconds: Math.ceil((waits[longest] ?? 0) / 1000) }
}

/** Long keys are hashed, because clients choose parts of them. */
const storedKey = ({ key }: Limit) =>
  key.length <= 128 ? key : `${key.split(':', 1)[0]}:${createHash('sha256').update(key).digest('hex')}`

const redisKey = (key: string) => `limit:${key}`
const causesKey = (key: string) => `limit-causes:${key}`
