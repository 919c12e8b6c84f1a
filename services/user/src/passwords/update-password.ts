import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { guessedAccount, limitGuesses } from '../limits/login-limits.ts'
import { setPassword } from './set-password.ts'

/** Replaces the caller's password. A wrong old one counts as a failed login (WrongOldPassword, LoginTooOften). */
export async function updatePassword(
  deps: Deps,
  change: { userId: number; oldMd5: string; newMd5: string; ip: string },
): Promise<void> {
  const { userId, oldMd5, newMd5, ip } = change
  const user = await limitGuesses(deps, { account: guessedAccount(userId, ''), ip }, async () => {
    const known = await deps.users.byId(userId)
    const right = await deps.hasher.verify(known?.password?.hash, oldMd5)
    if (!known || !right) throw new ContractError('WrongOldPassword')
    return known
  })
  if (!(await setPassword(deps, user, newMd5))) throw new ContractError('WrongOldPassword')
}
