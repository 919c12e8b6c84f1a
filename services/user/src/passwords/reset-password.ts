import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { parseLoginNumber } from '../users/telephones.ts'
import type { UserDocument } from '../users/users-repository.ts'
import { setPassword } from './set-password.ts'

/** Replaces a forgotten password by means of a code sent to the number. */
export async function resetPassword(
  deps: Deps,
  reset: { telephone: string; areaCode: string; code: string; newMd5: string },
): Promise<void> {
  const { users, serverConfig, smsCodes } = deps
  const { regeditPhoneOrName } = await serverConfig.get()
  const number = await knownNumber(() => parseLoginNumber(reset.telephone, reset.areaCode, regeditPhoneOrName === 1))
  const user = number && (await users.byTelephone(number.telephone))
  if (!number || !user?.password) throw new ContractError('AccountNotFound')
  await smsCodes.redeem(number.telephone, 'other', reset.code)
  // Another change of the password in this moment does not void the code's proof.
  let current: UserDocument | undefined = user
  while (current && !(await setPassword(deps, current, reset.newMd5))) current = await users.byId(user._id)
  if (!current) throw new ContractError('AccountNotFound')
}

/** A number of no valid form belongs to nobody here; the endpoint has no error for it. */
function knownNumber<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}
