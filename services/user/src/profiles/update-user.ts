import { ContractError, userUpdated } from '@im/contracts'
import { isDuplicateKey } from '@im/service-kit'
import { loginNamesOf } from '../accounts/login-names.ts'
import { parseTelephone, type Telephone } from '../accounts/telephones.ts'
import type { ProfileChange, UserDocument } from '../accounts/users-repository.ts'
import type { Deps } from '../deps.ts'
import { sealPayPassword } from '../passwords/pay-password.ts'
import { isMd5 } from '../secrets/md5.ts'
import { updateSettings } from '../settings/update-settings.ts'

export interface ProfileUpdate {
  fields: Pick<
    ProfileChange,
    | 'nickname'
    | 'sex'
    | 'birthday'
    | 'description'
    | 'countryId'
    | 'provinceId'
    | 'cityId'
    | 'areaId'
    | 'msgBackGroundUrl'
  >
  account?: string
  telephone?: string
  areaCode?: string
  smsCode?: string
  userType?: number
  payPasswordMd5?: string
  multipleDevices?: 0 | 1
}

/** Changes what is given of the caller's own profile, all of it or nothing, and gives the user as he is then. */
export async function updateUser(deps: Deps, userId: number, update: ProfileUpdate): Promise<UserDocument> {
  const { users, outbox, now } = deps
  const user = await users.byId(userId)
  if (!user) throw new ContractError('TokenInvalid')
  checkUserType(user, update.userType)
  const set: ProfileChange = { ...given(update.fields) }
  if (update.payPasswordMd5 !== undefined) {
    if (user.payPassword) throw new ContractError('PayPasswordWrong')
    set.payPassword = await sealPayPassword(deps, update.payPasswordMd5)
  }
  const account = newAccount(user, update.account)
  if (account) Object.assign(set, { account, accountKey: account.toLowerCase(), setAccountCount: 1 })
  const number = await newNumber(deps, user, update)
  if (number) Object.assign(set, number, { telephoneKey: number.telephone, isAuth: 1 })
  if (account || number) set.loginNames = loginNamesOf({ ...user, ...number, ...(account ? { account } : {}) })
  if (Object.keys(set).length) {
    const when = account ? 'account-unchanged' : set.payPassword ? 'no-pay-password' : 'always'
    try {
      await outbox.commit(async (change) => {
        const changed = await users.changeProfile(userId, set, when, change)
        if (!changed) throw new ContractError(account ? 'AccountChangedBefore' : 'PayPasswordWrong')
        const { nickname, account: shown } = changed
        change.announce(userUpdated, String(userId), { userId, nickname, account: shown, updatedAt: now() })
      })
    } catch (error) {
      if (isDuplicateKey(error, 'accountKey')) throw new ContractError('AccountTaken')
      if (isDuplicateKey(error, 'telephoneKey')) throw new ContractError('TelephoneTaken')
      throw error
    }
  }
  const { multipleDevices } = update
  if (multipleDevices !== undefined) await updateSettings(deps, userId, { multipleDevices })
  return (await users.byId(userId)) ?? user
}

function given<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}

function checkUserType(user: UserDocument, userType: number | undefined): void {
  if (userType === undefined || userType === 0 || userType === 1 || userType === user.userType) return
  throw new ContractError('PermissionDenied', { detail: 'userType' })
}

/** 1 to 18 characters, changeable once; the own account again is no change. */
function newAccount(user: UserDocument, account: string | undefined): string | undefined {
  if (account === undefined || account === user.account) return undefined
  if (!/^[A-Za-z0-9_-]{1,18}$/.test(account) || /^\d+$/.test(account) || isMd5(account))
    throw new ContractError('InvalidParams', { detail: 'account' })
  if (user.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
  return account
}

/** Apps send the own number, plain or as md5, with every update; a new one needs a code that was sent to it. */
async function newNumber(deps: Deps, user: UserDocument, update: ProfileUpdate): Promise<Telephone | undefined> {
  const { telephone, areaCode, smsCode } = update
  if (telephone === undefined || telephone === user.phone || telephone === user.telephone) return undefined
  if (isMd5(telephone)) {
    if (user.loginNames.includes(telephone.toLowerCase())) return undefined
    throw new ContractError('InvalidParams', { detail: 'telephone' })
  }
  const number = parseTelephone(telephone, areaCode ?? (user.areaCode || '86'))
  if (number.telephone === user.telephone) return undefined
  if (await deps.users.byTelephone(number.telephone)) throw new ContractError('TelephoneTaken')
  await deps.smsCodes.redeem(number.telephone, 'register', smsCode ?? '')
  return number
}
