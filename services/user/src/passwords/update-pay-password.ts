import { ContractError } from '@im/contracts'
import { payPasswordChanged } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { sealPayPassword } from './pay-password.ts'

/** Sets the pay password; whoever replaces it has to know the old one. Keys of payments stay as they are. */
export async function updatePayPassword(
  deps: Deps,
  change: { userId: number; oldMd5?: string; newMd5: string; signal: AbortSignal },
): Promise<void> {
  const { users, hasher, outbox, now } = deps
  const { userId, oldMd5, newMd5, signal } = change
  const user = await users.byId(userId)
  if (!user) throw new ContractError('TokenInvalid')
  const replaced = user.payPassword?.hash
  if (replaced !== undefined && !(oldMd5 && (await hasher.verify(replaced, oldMd5, signal))))
    throw new ContractError('PayPasswordWrong')
  const payPassword = await sealPayPassword(deps, newMd5)
  await outbox.commit(async (change) => {
    if (!(await users.setPayPassword(userId, replaced, payPassword, change)))
      throw new ContractError('PayPasswordWrong')
    change.announce(payPasswordChanged, String(userId), { userId, at: now() })
  })
}
