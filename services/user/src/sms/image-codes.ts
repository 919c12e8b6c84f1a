import { ContractError } from '@im/contracts'
import type { RateCounters, Redis } from '@im/service-kit'
import { codeTries, mostCodeTries, redeemOnce } from './redeem-once.ts'

const lifetimeSeconds = 180

/** Codes shown as images. A telephone has one at a time; it is valid for 180 s, one right answer and 4 wrong ones. */
export class ImageCodes {
  readonly #redis: Redis
  readonly #tries: number

  constructor(redis: Redis, counters: RateCounters) {
    this.#redis = redis
    this.#tries = counters.scaled(codeTries, mostCodeTries)
  }

  /** Stores the code that is shown for the key of a telephone. It replaces the previous one. */
  async remember(key: string, code: string): Promise<void> {
    const name = this.#redisKey(key)
    await this.#redis.multi().hset(name, { code, tries: 0 }).expire(name, lifetimeSeconds).exec()
  }

  /** Uses the code up; case does not matter. Throws ImageCodeMissing or ImageCodeWrong. */
  async redeem(key: string, code: string | undefined): Promise<void> {
    if (!code) throw new ContractError('ImageCodeMissing')
    const kept = { key: this.#redisKey(key), field: 'code' }
    if (!(await redeemOnce(this.#redis, kept, code.toUpperCase(), this.#tries)))
      throw new ContractError('ImageCodeWrong')
  }

  #redisKey(key: string): string {
    return `image-code:${key}`
  }
}
