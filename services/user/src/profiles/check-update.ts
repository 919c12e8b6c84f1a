import { ContractError } from '@im/contracts'
import type { SettingValues } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { sealPayPassword } from '../passwords/pay-password.ts'
import { isMd5 } from '../secrets/md5.ts'
import type { SmsProof } from '../sms/sms-codes.ts'
import { parseTelephone, type Telephone, telephoneKey, telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import type { PlainFields } from '../users/users-repository.ts'

export interface ProfileUpdate {
  fields: PlainFields
  account?: string
  telephone?: string
  areaCode?: string
  smsCode?: string
  userType?: number
  payPasswordMd5?: string
  settings: Partial<SettingValues>
}

/** The parts of an update that had to be checked. */
export interface CheckedUpdate {
  account?: string
  telephone?: Telephone
  /** The right code that was sent to the new number. */
  proof?: SmsProof
  payPassword?: { hash: string; sealed?: string }
}

/**
 * Checks everything; `accountOwner` is who has the wanted account. The hash of a pay password comes last, because otherwise whoever
 * sends wrong codes could keep the hasher busy.
 */
export async function checkUpdate(
  deps: Deps,
  { user, accountOwner }: { user: UserDocument; accountOwner: number | undefined },
  update: ProfileUpdate,
): Promise<CheckedUpdate> {
  checkUserType(user, update.userType)
  const { payPasswordMd5 } = update
  if (payPasswordMd5 !== undefined && user.payPassword) throw new ContractError('PayPasswordWrong')
  const account = newAccount(user, update.account, accountOwner)
  const number = await newTelephone(deps, user, update)
  const payPassword = payPasswordMd5 === undefined ? undefined : await sealPayPassword(deps, payPasswordMd5)
  return { account, payPassword, ...number }
}

function checkUserType(user: UserDocument, userType: number | undefined): void {
  if (userType === undefined || userType === 0 || userType === 1 || userType === user.userType) return
  throw new ContractError('PermissionDenied', { detail: 'userType' })
}

/** An account has 1 to 18 characters, can be changed once and belongs to one user. The own account again is no change. */
function newAccount(user: UserDocument, account: string | undefined, owner: number | undefined): string | undefined {
  if (account === undefined || account === user.account) return undefined
  if (!/^[A-Za-z0-9_-]{1,18}$/.test(account) || /^\d+$/.test(account))
    throw new ContractError('InvalidParams', { detail: 'account' })
  if (user.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
  if (owner !== undefined && owner !== user._id) throw new ContractError('AccountTaken')
  return account
}

/**
 * Apps send the user's number, plain or as md5, with every update. A new number needs a code that was sent to it. The same number
 * under another area code is a new number.
 */
async function newTelephone(
  deps: Deps,
  user: UserDocument,
  update: ProfileUpdate,
): Promise<{ telephone: Telephone; proof: SmsProof } | undefined> {
  const { areaCode = user.telephone?.areaCode ?? '86', smsCode = '' } = update
  if (update.telephone === undefined || update.telephone === telephoneText(user)) return undefined
  if (isMd5(update.telephone)) {
    const md5 = update.telephone.toLowerCase()
    if (user.loginNames.includes(md5) || user.numberNames.includes(md5)) return undefined
    throw new ContractError('InvalidParams', { detail: 'telephone' })
  }
  const telephone = parseTelephone(update.telephone, areaCode)
  const key = telephoneKey(telephone)
  if (user.telephone && key === telephoneKey(user.telephone)) return undefined
  if ((await deps.users.ownerOf(key)) !== undefined) throw new ContractError('TelephoneTaken')
  const proof = await deps.smsCodes.check(key, 'register', smsCode)
  if (!proof) throw new ContractError('SmsCodeInvalid')
  return { telephone, proof }
}
