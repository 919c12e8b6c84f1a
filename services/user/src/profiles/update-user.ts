import { ContractError } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { sealPayPassword } from '../passwords/pay-password.ts'
import { isMd5 } from '../secrets/md5.ts'
import { changeSettings } from '../settings/update-settings.ts'
import { loginNameCandidates, loginNamesOf } from '../users/login-names.ts'
import { NameTakenError } from '../users/taken-names.ts'
import { parseTelephone, type Telephone } from '../users/telephones.ts'
import type { PlainFields, ProfileChange, UserDocument } from '../users/users-repository.ts'

export interface ProfileUpdate {
  fields: PlainFields
  account?: string
  telephone?: string
  areaCode?: string
  smsCode?: string
  userType?: number
  payPasswordMd5?: string
  multipleDevices?: number
}

/** What was found good before the change. */
interface Checked {
  account?: string
  number?: Telephone
  payPassword?: { hash: string; sealed?: string }
}

/** Changes what is given of the caller's own profile, all of it or nothing, and gives the user as he is then. */
export async function updateUser(deps: Deps, userId: number, update: ProfileUpdate): Promise<UserDocument> {
  const { users, outbox, now } = deps
  const user = await users.byId(userId)
  if (!user) throw new ContractError('TokenInvalid')
  const checked = await check(deps, user, update)
  const { fields, multipleDevices } = update
  try {
    return await outbox.commit(async (change) => {
      let current = await users.byId(userId, change)
      if (!current) throw new ContractError('TokenInvalid')
      const set = { ...given(fields), ...changesOf(current, checked) }
      if (Object.keys(set).length) {
        current = (await users.changeProfile(current, set, change)) ?? current
        const { nickname, account } = current
        change.announce(userUpdated, String(userId), { userId, nickname, account, updatedAt: now() })
      }
      return multipleDevices === undefined ? current : changeSettings(deps, current, { multipleDevices }, change)
    })
  } catch (error) {
    if (!(error instanceof NameTakenError)) throw error
    throw new ContractError(error.kind === 'account' ? 'AccountTaken' : 'TelephoneTaken')
  }
}

/** The code for a new number is used up last. */
async function check(deps: Deps, user: UserDocument, update: ProfileUpdate): Promise<Checked> {
  checkUserType(user, update.userType)
  const { payPasswordMd5 } = update
  if (payPasswordMd5 !== undefined && user.payPassword) throw new ContractError('PayPasswordWrong')
  const account = await newAccount(deps, user, update.account)
  const payPassword = payPasswordMd5 === undefined ? undefined : await sealPayPassword(deps, payPasswordMd5)
  return { account, payPassword, number: await newNumber(deps, user, update) }
}

/** Decided on the user as he is within the change: another update of him may have come first. */
function changesOf(current: UserDocument, { account, number, payPassword }: Checked): ProfileChange {
  const set: ProfileChange = {}
  if (payPassword) {
    if (current.payPassword) throw new ContractError('PayPasswordWrong')
    set.payPassword = payPassword
  }
  if (account) {
    if (current.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
    Object.assign(set, { account, accountKey: account.toLowerCase(), setAccountCount: 1 })
  }
  if (number) Object.assign(set, number, { telephoneKey: number.telephone, isAuth: 1 })
  if (account || number) set.loginNames = loginNamesOf({ ...current, ...set })
  return set
}

function given<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
}

function checkUserType(user: UserDocument, userType: number | undefined): void {
  if (userType === undefined || userType === 0 || userType === 1 || userType === user.userType) return
  throw new ContractError('PermissionDenied', { detail: 'userType' })
}

/** 1 to 18 characters, changeable once, no other's login name; the own account again is no change. */
async function newAccount(
  { users }: Pick<Deps, 'users'>,
  user: UserDocument,
  account: string | undefined,
): Promise<string | undefined> {
  if (account === undefined || account === user.account) return undefined
  if (!/^[A-Za-z0-9_-]{1,18}$/.test(account) || /^\d+$/.test(account))
    throw new ContractError('InvalidParams', { detail: 'account' })
  if (user.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
  const named = await users.byLoginNames(loginNameCandidates(account))
  if (named.some(({ _id }) => _id !== user._id)) throw new ContractError('AccountTaken')
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
