import { ContractError, type Endpoint, type RateLimit } from '@im/contracts'
import { Counter, type Registry } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { BucketStore, BucketTake } from './token-buckets.ts'

/** transport.md §8: any endpoint. The burst of an address is ours: after login an app makes ten calls at once. */
const perToken = { perSecond: 50, burst: 200 }
const perAddress = { perSecond: 100, burst: 200 }
/** Part of a second's tokens that is taken from the shared bucket at once, and spent here without asking. */
const blockOfSecond = 1 / 5

/** Tokens of one shared bucket that this process holds. */
interface Stock {
  readonly take: BucketTake
  tokens: number
  /** Milliseconds; before it the shared bucket is known to be empty. */
  emptyUntil: number
  refill: Promise<void> | undefined
}

export interface Spender {
  ip: string
  /** Present when the call comes with a live token. */
  userId?: number
  sessionId?: string
}

/**
 * The limits of transport.md §8. Each is a token bucket shared by all gateways. Of the two that count every call a block of
 * tokens is taken at a time, so most calls are counted in memory; a user may get at most one block (10) per gateway beyond
 * his burst. The limits of single endpoints are exact.
 */
export class RateLimits {
  readonly #buckets: BucketStore
  readonly #factor: number
  readonly #now: () => number
  readonly #refused: Counter
  readonly #stocks = new LRUCache<string, Stock>({ max: 50_000 })

  /** `factor` multiplies every limit; 0 switches them off. */
  constructor(options: { buckets: BucketStore; factor: number; now: () => number; metrics: Registry }) {
    this.#buckets = options.buckets
    this.#factor = options.factor
    this.#now = options.now
    this.#refused = new Counter({
      name: 'im_gateway_rate_limited_total',
      help: 'Calls refused because of a limit',
      labelNames: ['limit'],
      registers: [options.metrics],
    })
  }

  /** Counts one call. Undefined when it may go on at once, else a promise that rejects with RateLimited if it may not. */
  spend(endpoint: Endpoint, spender: Spender): Promise<void> | undefined {
    if (this.#factor === 0) return undefined
    const stock = spender.sessionId
      ? this.#stock(`token:${spender.sessionId}`, perToken)
      : this.#stock(`address:${spender.ip}`, perAddress)
    if (!endpoint.limits?.length && stock.tokens >= 1) {
      stock.tokens--
      return undefined
    }
    return this.#spendSlowly(stock, endpoint, spender)
  }

  /** Counts a token that is not live: guessing is limited per address like calls without token. */
  async spendGuess(ip: string): Promise<void> {
    if (this.#factor !== 0) await this.#spendStock(this.#stock(`address:${ip}`, perAddress))
  }

  /** Throws RateLimited when this address is known to be at its limit; counts nothing. */
  refuseWhenEmpty(ip: string): void {
    const stock = this.#stocks.get(`address:${ip}`)
    if (stock && stock.tokens < 1 && stock.emptyUntil > this.#now()) throw this.#refusal('address', stock.emptyUntil)
  }

  async #spendSlowly(stock: Stock, endpoint: Endpoint, spender: Spender): Promise<void> {
    await this.#spendStock(stock)
    if (!endpoint.limits?.length) return
    const takes = endpoint.limits.map((limit) => this.#takeOf(limit, endpoint, spender))
    const { waitMs } = await this.#buckets.take(takes)
    if (waitMs > 0) throw this.#refusal('endpoint', this.#now() + waitMs)
  }

  async #spendStock(stock: Stock): Promise<void> {
    while (stock.tokens < 1) {
      if (stock.emptyUntil > this.#now()) throw this.#refusal(stock.take.key.split(':')[0] ?? '', stock.emptyUntil)
      stock.refill ??= this.#refill(stock)
      await stock.refill
    }
    stock.tokens--
  }

  async #refill(stock: Stock): Promise<void> {
    try {
      const { waitMs, granted } = await this.#buckets.take([stock.take])
      if (waitMs > 0) stock.emptyUntil = this.#now() + waitMs
      else stock.tokens += granted[0] ?? 0
    } finally {
      stock.refill = undefined
    }
  }

  #stock(key: string, rate: { perSecond: number; burst: number }): Stock {
    const known = this.#stocks.get(key)
    if (known) return known
    const perSecond = rate.perSecond * this.#factor
    const stock: Stock = {
      take: {
        key,
        perMs: perSecond / 1000,
        burst: Math.max(1, rate.burst * this.#factor),
        want: Math.max(1, Math.floor(perSecond * blockOfSecond)),
      },
      tokens: 0,
      emptyUntil: 0,
      refill: undefined,
    }
    this.#stocks.set(key, stock)
    return stock
  }

  #takeOf(limit: RateLimit, endpoint: Endpoint, { ip, userId }: Spender): BucketTake {
    const who = limit.by !== 'ip' && userId !== undefined ? `user:${userId}` : `address:${ip}`
    const max = limit.max * this.#factor
    return {
      key: `${limit.group ?? endpoint.path}:${limit.seconds}:${who}`,
      perMs: max / (limit.seconds * 1000),
      burst: Math.max(1, max),
      want: 1,
    }
  }

  #refusal(limit: string, until: number): ContractError {
    this.#refused.inc({ limit })
    const seconds = Math.max(1, Math.ceil((until - this.#now()) / 1000))
    return new ContractError('RateLimited', { args: [seconds], retryAfter: seconds })
  }
}
