import { createHmac, hkdfSync, randomInt } from 'node:crypto'
import type { RateCounters, Redis } from '@im/service-kit'
import { seal, unseal } from '../secrets/sealed-text.ts'
import { codeTries, mostCodeTries, redeemOnce } from './redeem-once.ts'

export type SmsPurpose = 'register' | 'other'

const lifetimeSeconds = 600

const issueScript = `
local sealed = redis.call('hget', KEYS[1], 'sealed')
if not sealed then
  redis.call('hset', KEYS[1], 'hash', ARGV[1], 'sealed', ARGV[2], 'tries', 0)
end
redis.call('expire', KEYS[1], ARGV[3])
return sealed`

/**
 * Codes that were sent by SMS. A code has 6 digits, lives 600 s, allows 5 tries, is used up by the right answer, and belongs to the
 * key of a telephone (telephones.ts) and a purpose. Redis holds an HMAC for the check, because a plain hash of six digits can be
 * found by trying all, and the encrypted code for sending it again.
 */
export class SmsCodes {
  readonly #redis: Redis
  readonly #tries: number
  readonly #hashKey: Buffer
  readonly #sealKey: Buffer
  /** Tells the codes of this pepper from those of another: after a change of the pepper none of them can be read. */
  readonly #pepperId: string

  constructor(redis: Redis, counters: RateCounters, pepper: string) {
    this.#redis = redis
    this.#tries = counters.scaled(codeTries, mostCodeTries)
    const derive = (use: string) => Buffer.from(hkdfSync('sha256', Buffer.from(pepper, 'hex'), '', use, 32))
    this.#hashKey = derive('sms-code-hash')
    this.#sealKey = derive('sms-code-seal')
    this.#pepperId = derive('sms-code-name').toString('hex', 0, 4)
  }

  /** Returns a new code, or the current one: its 600 s start again, and its wrong tries still count. */
  async issue(key: string, purpose: SmsPurpose): Promise<string> {
    const code = String(randomInt(100_000, 1_000_000))
    const sealed = await this.#redis.eval(
      issueScript,
      1,
      this.#redisKey(key, purpose),
      this.#hash(key, purpose, code),
      seal(this.#sealKey, code),
      lifetimeSeconds,
    )
    return typeof sealed === 'string' ? unseal(this.#sealKey, sealed) : code
  }

  /** Returns true when the code is right, and uses it up. */
  async redeem(key: string, purpose: SmsPurpose, code: string): Promise<boolean> {
    const kept = { key: this.#redisKey(key, purpose), field: 'hash' }
    return redeemOnce(this.#redis, kept, this.#hash(key, purpose, code), this.#tries)
  }

  #redisKey(key: string, purpose: SmsPurpose): string {
    return `sms-code:${this.#pepperId}:${purpose}:${key}`
  }

  #hash(key: string, purpose: SmsPurpose, code: string): string {
    return createHmac('sha256', this.#hashKey).update(`${purpose}\n${key}\n${code}`).digest('hex')
  }
}
