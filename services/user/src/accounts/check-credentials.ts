import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { guessedAccount, limitGuesses } from '../limits/login-limits.ts'
import type { UserDocument } from '../users/users-repository.ts'

export interface PasswordGuess {
  /** Undefined when nobody has the name that was given. */
  user: UserDocument | undefined
  name: string
  passwordMd5: string
  ip: string
}

/**
 * The user, when the password is his. AccountNotFound, WrongPassword, LoginTooOften; AccountLocked only for the right password.
 * Accounts without a password (the system's) count as unknown. A hash weaker than the settings is renewed.
 */
export async function checkPassword(deps: Deps, guess: PasswordGuess): Promise<UserDocument> {
  const { user, passwordMd5, ip } = guess
  return limitGuesses(deps, { account: guessedAccount(user?._id, guess.name), ip }, async () => {
    const right = await deps.hasher.verify(user?.password?.hash, passwordMd5)
    if (!user?.password) throw new ContractError('AccountNotFound')
    if (!right) throw new ContractError('WrongPassword')
    if (user.status !== 1) throw new ContractError('AccountLocked')
    await renewWeakHash(deps, user._id, user.password.hash, passwordMd5)
    return user
  })
}

async function renewWeakHash({ hasher, users }: Deps, userId: number, stored: string, passwordMd5: string) {
  if (hasher.isWeaker(stored)) await users.renewPasswordHash(userId, stored, await hasher.hash(passwordMd5))
}

/** The user, when the code was sent to his number. The code is used up. AccountNotFound, SmsCodeInvalid, as above. */
export async function checkLoginCode(
  deps: Deps,
  guess: { user: UserDocument | undefined; name: string; code: string; ip: string },
): Promise<UserDocument> {
  const { user, code, ip } = guess
  return limitGuesses(deps, { account: guessedAccount(user?._id, guess.name), ip }, async () => {
    if (!user?.telephone) throw new ContractError('AccountNotFound')
    await deps.smsCodes.redeem(user.telephone, 'other', code)
    if (user.status !== 1) throw new ContractError('AccountLocked')
    return user
  })
}
