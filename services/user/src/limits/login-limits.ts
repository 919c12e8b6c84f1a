import { createHash } from 'node:crypto'
import { ContractError, type ErrorName } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { Limit, RateCounters } from './rate-counters.ts'

/** Answers that mean somebody guessed wrong. */
const failures: ReadonlySet<ErrorName> = new Set([
  'AccountNotFound',
  'WrongPassword',
  'WrongOldPassword',
  'SmsCodeInvalid',
])

const accountLimit = (account: string): Limit => ({ key: `login-account:${account}`, max: 10, seconds: 900 })
const ipLimit = (ip: string): Limit => ({ key: `login-ip:${limitAddress(ip)}`, max: 50, seconds: 3600 })

function tooOften(waitSeconds: number): ContractError {
  return new ContractError('LoginTooOften', { args: [Math.ceil(waitSeconds / 60)], retryAfter: waitSeconds })
}

/** The account a guess is counted for: the user when there is one, else the name that was tried. */
export function guessedAccount(userId: number | undefined, name: string): string {
  return userId !== undefined
    ? String(userId)
    : `unknown:${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}

/**
 * Runs a check of a password or code under the limits that login, OAuth and XMPP share: 10 failures per account and 15 min,
 * 50 per address and hour. The try is counted before the check, so that guesses sent at the same time do not slip through;
 * a success clears the account's count, an unexpected error gives the try back.
 */
export async function limitGuesses<T>(
  { counters }: { counters: RateCounters },
  guess: { account: string; ip: string },
  check: () => Promise<T>,
): Promise<T> {
  const account = accountLimit(guess.account)
  const address = ipLimit(guess.ip)
  const addressWait = await counters.waitFor(address)
  if (addressWait) throw tooOften(addressWait)
  const refused = await counters.take(account)
  if (refused) throw tooOften(refused.waitSeconds)
  try {
    const result = await check()
    await counters.clear(account)
    return result
  } catch (error) {
    if (error instanceof ContractError && failures.has(error.errorName)) await counters.take(address)
    else await counters.giveBack(account)
    throw error
  }
}
