import { ContractError } from '@im/contracts'
import type { Redis } from '@im/service-kit'
import type { RateCounters } from '../limits/rate-counters.ts'
import { codeTries, redeemOnce } from './redeem-once.ts'

const lifetimeSeconds = 180

/** Codes shown as images: one per telephone, good for 180 s and one right answer, void after 5 wrong ones. */
export class ImageCodes {
  readonly #redis: Redis
  readonly #counters: RateCounters

  constructor(redis: Redis, counters: RateCounters) {
    this.#redis = redis
    this.#counters = counters
  }

  /** Remembers the code that is shown; the one before is void. `telephone` = area code + number. */
  async remember(telephone: string, code: string): Promise<void> {
    const key = this.#key(telephone)
    await this.#redis.multi().del(key).hset(key, { code, tries: 0 }).expire(key, lifetimeSeconds).exec()
  }

  /** Uses the code up; upper and lower case are the same. ImageCodeMissing, ImageCodeWrong. */
  async redeem(telephone: string, code: string | undefined): Promise<void> {
    if (!code) throw new ContractError('ImageCodeMissing')
    const kept = { key: this.#key(telephone), field: 'code' }
    if (!(await redeemOnce(this.#redis, kept, code.toUpperCase(), this.#counters.scaled(codeTries))))
      throw new ContractError('ImageCodeWrong')
  }

  #key(telephone: string): string {
    return `image-code:${telephone}`
  }
}
