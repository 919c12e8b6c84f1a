import { ContractError } from '@im/contracts'
import type { Redis } from '@im/service-kit'
import type { RateCounters } from '../limits/rate-counters.ts'

const lifetimeSeconds = 180
const tries = 5

const redeemScript = `
local code = redis.call('hget', KEYS[1], 'code')
if not code then return 0 end
if code == ARGV[1] then redis.call('del', KEYS[1]) return 1 end
local wrong = redis.call('hincrby', KEYS[1], 'tries', 1)
if tonumber(ARGV[2]) > 0 and wrong >= tonumber(ARGV[2]) then redis.call('del', KEYS[1]) end
return 0`

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
    const maxTries = this.#counters.scaled(tries)
    const right = await this.#redis.eval(redeemScript, 1, this.#key(telephone), code.toUpperCase(), maxTries)
    if (right !== 1) throw new ContractError('ImageCodeWrong')
  }

  #key(telephone: string): string {
    return `image-code:${telephone}`
  }
}
