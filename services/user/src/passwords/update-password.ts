import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { setPassword } from './set-password.ts'

/** Replaces the caller's password. A wrong old one counts as a failed login (WrongOldPassword, LoginTooOften). */
export async function updatePassword(
  deps: Deps,
  change: { userId: number; oldMd5: string; newMd5: string; ip: string; signal: AbortSignal },
): Promise<void> {
  const { userId, oldMd5, newMd5, ip, signal } = change
  const caller = await deps.users.byId(userId)
  if (!caller) throw new ContractError('WrongOldPassword')
  const user = await deps.loginLimits.guess({ candidates: [caller], name: '', ip, signal }, async () => {
    if (!(await deps.hasher.verify(caller.password?.hash, oldMd5, signal))) throw new ContractError('WrongOldPassword')
    return caller
  })
  if (!(await setPassword(deps, user, newMd5))) throw new ContractError('WrongOldPassword')
}
