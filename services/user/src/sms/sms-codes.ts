import { createHmac, hkdfSync, randomInt } from 'node:crypto'
import { ContractError } from '@im/contracts'
import type { RateCounters, Redis } from '@im/service-kit'
import { seal, unseal } from '../secrets/sealed-text.ts'
import { codeTries, isRight, mostCodeTries, redeemOnce } from './redeem-once.ts'

export type SmsPurpose = 'register' | 'other'

/** A right code that is not used up yet. */
export interface SmsProof {
  /**
   * Uses the code up. It is to be the last step before the commit of what the code allows, so that a failure before leaves it to
   * be tried again. May be called again by a transaction that is repeated. Throws SmsCodeInvalid when somebody else used it.
   */
  use(): Promise<void>
}

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
    return (typeof sealed === 'string' && unseal(this.#sealKey, sealed)) || code
  }

  /** Returns undefined when the code is wrong, which counts as a try. */
  async check(key: string, purpose: SmsPurpose, code: string): Promise<SmsProof | undefined> {
    const kept = { key: this.#redisKey(key, purpose), field: 'hash' }
    const hash = this.#hash(key, purpose, code)
    if (!(await isRight(this.#redis, kept, hash, this.#tries))) return undefined
    let using: Promise<void> | undefined
    const redeem = async () => {
      if (!(await redeemOnce(this.#redis, kept, hash, this.#tries))) throw new ContractError('SmsCodeInvalid')
    }
    return {
      use() {
        using ??= redeem()
        return using
      },
    }
  }

  #redisKey(key: string, purpose: SmsPurpose): string {
    return `sms-code:${this.#pepperId}:${purpose}:${key}`
  }

  #hash(key: string, purpose: SmsPurpose, code: string): string {
    return createHmac('sha256', this.#hashKey).update(`${purpose}\n${key}\n${code}`).digest('hex')
  }
}
