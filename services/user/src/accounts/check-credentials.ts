import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { Guess } from '../limits/login-limits.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import { telephoneKey } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'

/**
 * Finds the user with this name and password. Throws AccountNotFound, WrongPassword or LoginTooOften, and AccountLocked when the
 * password is right. Accounts without a password (the system's) count as unknown. A hash weaker than the settings is renewed.
 */
export async function checkPassword(
  deps: Deps,
  guess: Guess<UserDocument> & { passwordMd5: string },
): Promise<UserDocument> {
  const { hasher, loginLimits } = deps
  const { passwordMd5, signal } = guess
  const candidates = guess.candidates.filter((user) => user.password)
  return loginLimits.guess({ ...guess, candidates }, async (open) => {
    // This takes as long as checking a password, so the time does not tell which accounts exist.
    if (!open.length) await hasher.verify(undefined, passwordMd5, signal)
    if (!open.length) throw new ContractError('AccountNotFound')
    for (const user of open) {
      const stored = user.password?.hash
      if (!stored || !(await hasher.verify(stored, passwordMd5, signal))) continue
      if (user.status !== 1) throw new ContractError('AccountLocked')
      if (hasher.isWeaker(stored)) await renewHash(deps, user._id, stored, passwordMd5)
      return user
    }
    throw new ContractError('WrongPassword')
  })
}

/** Only logs a failure, because the login is good without it. */
async function renewHash(
  { hasher, users, log }: Deps,
  userId: number,
  stored: string,
  passwordMd5: string,
): Promise<void> {
  try {
    await users.renewPasswordHash(userId, stored, await hasher.hash(passwordMd5))
  } catch (error) {
    log.warn({ err: error, userId }, 'a weak password hash was not renewed')
  }
}

/**
 * Finds the user with this name to whose number the code was sent, and the proof of it, which the login has to use up. Throws what
 * `checkPassword` throws, or SmsCodeInvalid.
 */
export async function checkLoginCode(
  deps: Deps,
  guess: Guess<UserDocument> & { code: string },
): Promise<{ user: UserDocument; proof: SmsProof | undefined }> {
  const found: { proof?: SmsProof } = {}
  const candidates = guess.candidates.filter((user) => user.telephone)
  const user = await deps.loginLimits.guess({ ...guess, candidates }, async (open) => {
    if (!open.length) throw new ContractError('AccountNotFound')
    for (const user of open) {
      const proof = user.telephone && (await deps.smsCodes.check(telephoneKey(user.telephone), 'other', guess.code))
      if (!proof) continue
      found.proof = proof
      if (user.status !== 1) throw new ContractError('AccountLocked')
      return user
    }
    throw new ContractError('SmsCodeInvalid')
  })
  return { user, proof: found.proof }
}
