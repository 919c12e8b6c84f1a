import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'

/** Throws PayPasswordNotSet or PayPasswordWrong. */
export async function checkPayPassword(
  { users, hasher }: Pick<Deps, 'users' | 'hasher'>,
  userId: number,
  payPasswordMd5: string,
  signal: AbortSignal,
): Promise<void> {
  const { payPassword } = (await users.byId(userId)) ?? {}
  if (!payPassword) throw new ContractError('PayPasswordNotSet')
  if (!(await hasher.verify(payPassword.hash, payPasswordMd5, signal))) throw new ContractError('PayPasswordWrong')
}
