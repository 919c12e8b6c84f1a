import { type Limit, limitError, type RateCounters, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { IncomingCall } from './incoming-call.ts'

/** transport.md §8: 50 calls a second for each token and 100 for each address, 200 at once. `block` is a fifth of a second. */
const ofToken = { name: 'token', max: 200, seconds: 4, block: 10 }
const ofAddress = { name: 'address', max: 200, seconds: 2, block: 20 }
/** Files and avatars of an address: an app that shows a list reads some hundreds at once, and many apps share an address. */
const filesOfAddress = { name: 'files', max: 3000, seconds: 6, block: 50 }

type Counted = Pick<IncomingCall, 'caller' | 'address'> & Partial<Pick<IncomingCall, 'endpoint'>>

/** The calls of one limit that this gateway may still allow without asking Redis. */
interface Allowance {
  readonly limit: Limit
  readonly block: number
  /** Calls that are left; below 0 after a call that counted several times. */
  left: number
  /** The time (ms) until which the limit is known to be reached. */
  reachedUntil: number
  refill: Promise<void> | undefined
}

/**
 * The limits of transport.md §8 that hold for every endpoint; services count those of single endpoints. All gateways share the
 * counts, but each takes a block of calls at once and counts them in memory. So most calls need no Redis, and a limit may be
 * exceeded by one block for each gateway.
 */
export class CallLimits {
  readonly #counters: RateCounters
  readonly #isOff: boolean
  readonly #now: () => number
  readonly #allowances = new LRUCache<string, Allowance>(upTo(50_000))

  constructor(options: { counters: RateCounters; factor: number; now: () => number }) {
    this.#counters = options.counters
    this.#isOff = options.factor === 0
    this.#now = options.now
  }

  /** Counts one call. Returns undefined when it is allowed at once, else a promise that may reject with RateLimited. */
  count({ caller, address, endpoint }: Counted): Promise<void> | undefined {
    if (this.#isOff) return undefined
    const ofCall = endpoint?.answer === 'file' ? filesOfAddress : ofAddress
    const allowance = caller ? this.#allowanceFor(ofToken, caller.sessionId) : this.#allowanceFor(ofCall, address)
    if (allowance.left < 1) return this.#spend(allowance, 1)
    allowance.left--
    return undefined
  }

  /**
   * Counts a call without a live token as `calls` of its address, so that guessing tokens and sending long bodies is limited.
   * Rejects with RateLimited when the address has reached its limit.
   */
  async countRefusal(address: string, calls: number): Promise<void> {
    if (!this.#isOff) await this.#spend(this.#allowanceFor(ofAddress, address), calls)
  }

  /** Takes back a count that was made before the token turned out to be live. */
  giveBack(address: string, calls: number): void {
    if (calls > 0 && !this.#isOff) this.#allowanceFor(ofAddress, address).left += calls
  }

  /** True when this address is known to have reached its limit. Counts nothing. */
  isReached(address: string): boolean {
    const allowance = this.#allowances.get(`${ofAddress.name}:${address}`)
    return allowance !== undefined && allowance.left < 1 && allowance.reachedUntil > this.#now()
  }

  /** Throws RateLimited when this address is known to have reached its limit. Counts nothing. */
  refuseIfReached(address: string): void {
    if (this.isReached(address)) this.#refuseIfReached(this.#allowanceFor(ofAddress, address))
  }

  async #spend(allowance: Allowance, calls: number): Promise<void> {
    while (allowance.left < 1) {
      this.#refuseIfReached(allowance)
      allowance.refill ??= this.#refill(allowance)
      await allowance.refill
    }
    allowance.left -= calls
  }

  async #refill(allowance: Allowance): Promise<void> {
    try {
      const granted = await this.#counters.takeBlock(allowance.limit, allowance.block)
      if (typeof granted === 'number') allowance.left += granted
      else allowance.reachedUntil = this.#now() + granted.waitSeconds * 1000
    } finally {
      allowance.refill = undefined
    }
  }

  #refuseIfReached({ reachedUntil }: Allowance): void {
    const wait = reachedUntil - this.#now()
    if (wait > 0) throw limitError('RateLimited', Math.ceil(wait / 1000))
  }

  #allowanceFor({ name, max, seconds, block }: typeof ofToken, who: string): Allowance {
    const key = `${name}:${who}`
    let allowance = this.#allowances.get(key)
    if (!allowance) {
      const limit = { key, max, seconds }
      allowance = { limit, block: this.#counters.scaled(block), left: 0, reachedUntil: 0, refill: undefined }
      this.#allowances.set(key, allowance)
    }
    return allowance
  }
}
