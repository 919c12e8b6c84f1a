import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { registeredKey } from '../users/login-names.ts'
import { readRegistered } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import { setPassword } from './set-password.ts'

/** Replaces a forgotten password. A code that was sent to the number proves who asks. */
export async function resetPassword(
  deps: Deps,
  reset: { telephone: string; areaCode: string; code: string; newMd5: string },
): Promise<void> {
  const { users, serverConfig, smsCodes } = deps
  const { regeditPhoneOrName } = await serverConfig.get()
  // The endpoint has one error for invalid numbers and numbers that nobody has.
  const registered = readRegistered(reset.telephone, reset.areaCode, regeditPhoneOrName === 1)
  const user = registered && (await users.byName(registeredKey(registered)))
  if (!registered || !user?.password) throw new ContractError('AccountNotFound')
  const proof = await smsCodes.check(registeredKey(registered), 'other', reset.code)
  if (!proof) throw new ContractError('SmsCodeInvalid')
  // The code is proof enough even if the password was changed at this moment.
  let current: UserDocument | undefined = user
  while (current && !(await setPassword(deps, current, reset.newMd5, proof))) current = await users.byId(user._id)
  if (!current) throw new ContractError('AccountNotFound')
}
