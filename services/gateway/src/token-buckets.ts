import { LRUCache } from 'lru-cache'
import type { RedisHelp } from './redis-help.ts'

/** A wish for tokens of one bucket, which holds `burst` when full and gains `perMs`. */
export interface BucketTake {
  key: string
  perMs: number
  burst: number
  /** Granted as far as there are; at least one, or the take is refused. */
  want: number
}

export interface Taken {
  /** Milliseconds until every bucket has a token again; 0 when the tokens were taken. Nothing is taken otherwise. */
  waitMs: number
  granted: number[]
}

export interface BucketStore {
  take(takes: readonly BucketTake[]): Promise<Taken>
}

const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local levels, wait = {}, 0
for i = 1, #KEYS do
  local perMs, burst = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1])
  local bucket = redis.call('HMGET', KEYS[i], 'level', 'at')
  local level = burst
  if bucket[1] then level = math.min(burst, bucket[1] + math.max(0, now - bucket[2]) * perMs) end
  levels[i] = level
  if level < 1 then wait = math.max(wait, math.ceil((1 - level) / perMs)) end
end
local answer = { wait }
if wait > 0 then return answer end
for i = 1, #KEYS do
  local perMs, burst, want = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3])
  local granted = math.min(want, math.floor(levels[i]))
  redis.call('HSET', KEYS[i], 'level', levels[i] - granted, 'at', now)
  redis.call('PEXPIRE', KEYS[i], math.ceil(burst / perMs) + 1000)
  answer[i + 1] = granted
end
return answer
`

/** Buckets in Redis, shared by all gateways; in this process while Redis is away. */
export class SharedBuckets implements BucketStore {
  readonly #redis: RedisHelp
  readonly #own: BucketStore

  constructor(redis: RedisHelp, own: BucketStore) {
    this.#redis = redis
    this.#own = own
  }

  async take(takes: readonly BucketTake[]): Promise<Taken> {
    const keys = takes.map(({ key }) => `limit:${key}`)
    const values = takes.flatMap(({ perMs, burst, want }) => [perMs, burst, want])
    const answer = await this.#redis.ask((redis) => redis.eval(script, keys.length, ...keys, ...values))
    if (!answer) return this.#own.take(takes)
    const [waitMs = 0, ...granted] = answer as number[]
    return { waitMs, granted }
  }
}

/** The same arithmetic in memory. A bucket that falls out of the cache is full again. */
export class OwnBuckets implements BucketStore {
  readonly #buckets = new LRUCache<string, { level: number; at: number }>({ max: 50_000 })
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  async take(takes: readonly BucketTake[]): Promise<Taken> {
    const now = this.#now()
    let waitMs = 0
    const levels = takes.map(({ key, perMs, burst }) => {
      const bucket = this.#buckets.get(key)
      const level = bucket ? Math.min(burst, bucket.level + Math.max(0, now - bucket.at) * perMs) : burst
      if (level < 1) waitMs = Math.max(waitMs, Math.ceil((1 - level) / perMs))
      return level
    })
    if (waitMs > 0) return { waitMs, granted: [] }
    const granted = takes.map(({ key, want }, index) => {
      const level = levels[index] ?? 0
      const tokens = Math.min(want, Math.floor(level))
      this.#buckets.set(key, { level: level - tokens, at: now })
      return tokens
    })
    return { waitMs, granted }
  }
}
