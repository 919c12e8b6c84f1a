import { createHash } from 'node:crypto'
import { ContractError, type ErrorName } from '@im/contracts'
import { type Limit, limitAddress, limitError, type RateCounters, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import pLimit, { type LimitFunction } from 'p-limit'

/** Errors that mean a wrong guess. */
const failures: ReadonlySet<ErrorName> = new Set([
  'AccountNotFound',
  'WrongPassword',
  'WrongOldPassword',
  'SmsCodeInvalid',
])

export interface Guess<U> {
  /** Users whose password or code is tried; empty when nobody has the name. */
  candidates: readonly U[]
  /** The name that was given. */
  name: string
  ip: string
  /** Aborted when nobody waits for the answer any more. A guess that has not begun by then is not checked. */
  signal?: AbortSignal
}

/**
 * The limits that login, OAuth, password changes and XMPP share (transport.md §8): 10 wrong guesses per account and 15 minutes,
 * 50 per address and hour. A guess is counted before it is checked and given back when it was right, so guesses sent at the
 * same time cannot slip through.
 */
export class LoginLimits {
  readonly #counters: RateCounters
  readonly #atOnce: number
  readonly #lanes = new LRUCache<string, LimitFunction>(upTo(10_000))

  /**
   * `atOnce` is the number of guesses of one address that are checked at the same time; others wait. A guess counts as wrong
   * while it is checked, so without this many people behind one address would reach its limit by logging in together.
   */
  constructor(counters: RateCounters, atOnce: number) {
    this.#counters = counters
    this.#atOnce = atOnce
  }

  /**
   * Runs `check` with the candidates whose account is not closed. `check` tries them in their order and returns the one whose
   * password or code was right. Throws LoginTooOften when the address or every candidate is closed.
   */
  async guess<U extends { _id: number }>(guess: Guess<U>, check: (open: readonly U[]) => Promise<U>): Promise<U> {
    const address = limitAddress(guess.ip)
    const lane = this.#lanes.get(address) ?? pLimit(this.#atOnce)
    this.#lanes.set(address, lane)
    return lane(() => {
      if (guess.signal?.aborted) throw new ContractError('ServiceUnavailable')
      return this.#counted(guess, address, check)
    })
  }

  async #counted<U extends { _id: number }>(
    { candidates, name }: Guess<U>,
    address: string,
    check: (open: readonly U[]) => Promise<U>,
  ): Promise<U> {
    const addressLimit: Limit = { key: `login-address:${address}`, max: 50, seconds: 3600 }
    const { open, limits } = await this.#take(candidates, name, addressLimit)
    try {
      const user = await check(open)
      // It was wrong for those before. If it did not count for them, whoever has somebody's number under another area code could
      // guess without end, with a new password of their own for each guess.
      const wrong = open.slice(0, open.indexOf(user)).map(({ _id }) => accountLimit(String(_id)).key)
      const own = accountLimit(String(user._id))
      const others = limits.filter(({ key }) => key !== own.key && !wrong.includes(key))
      await Promise.all([this.#counters.giveBack(...others), this.#counters.clear(own)])
      return user
    } catch (error) {
      if (!(error instanceof ContractError && failures.has(error.errorName))) await this.#counters.giveBack(...limits)
      throw error
    }
  }

  /** Counts the guess for the address and for each candidate that is not closed, all at once. */
  async #take<U extends { _id: number }>(candidates: readonly U[], name: string, address: Limit) {
    let open = [...candidates]
    for (;;) {
      const accounts = open.length ? open.map(({ _id }) => String(_id)) : [unknownAccount(name)]
      const limits = [address, ...accounts.map(accountLimit)]
      const refused = await this.#counters.take(...limits)
      if (!refused) return { open, limits }
      const left = open.filter(({ _id }) => refused.full.key !== accountLimit(String(_id)).key)
      if (!left.length || left.length === open.length) throw limitError('LoginTooOften', refused.waitSeconds)
      open = left
    }
  }
}

const accountLimit = (account: string): Limit => ({ key: `login-account:${account}`, max: 10, seconds: 900 })

/** Unknown names are counted like accounts, so that the limit does not tell which accounts exist. */
const unknownAccount = (name: string) => `unknown:${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
