import { ContractError } from '@im/contracts'
import { publicUserFields, type SettingValues, userUpdated } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { sealPayPassword } from '../passwords/pay-password.ts'
import { isMd5 } from '../secrets/md5.ts'
import { changeSettings } from '../settings/update-settings.ts'
import { loginNamesOf } from '../users/login-names.ts'
import { NameTakenError } from '../users/names-repository.ts'
import { parseTelephone, type Telephone, telephoneKey, telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'
import type { PlainFields, ProfileChange } from '../users/users-repository.ts'

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

/** Whether others see a field. Only such changes are announced. */
const isShownToOthers = (name: string) =>
  name in publicUserFields || name === 'telephone' || name === 'msgBackGroundUrl'

/** What was checked before the change. */
interface Checked {
  account?: string
  telephone?: Telephone
  payPassword?: { hash: string; sealed?: string }
}

/** Changes the given parts of the caller's profile, all of them or none, and returns the user. */
export async function updateUser(deps: Deps, userId: number, update: ProfileUpdate): Promise<UserDocument> {
  const { users, outbox, now } = deps
  const user = await users.byId(userId)
  if (!user) throw new ContractError('TokenInvalid')
  const checked = await check(deps, user, update)
  const { fields, settings } = update
  try {
    return await outbox.commit(async (change) => {
      let current = await users.byId(userId, change)
      if (!current) throw new ContractError('TokenInvalid')
      const set = changesOf(current, fields, checked)
      if (Object.keys(set).length) current = (await users.changeProfile(current, set, change)) ?? current
      if (Object.keys(set).some(isShownToOthers)) {
        const { nickname, account } = current
        change.announce(userUpdated, String(userId), { userId, nickname, account, updatedAt: now() })
      }
      return changeSettings(deps, current, settings, change)
    })
  } catch (error) {
    if (!(error instanceof NameTakenError)) throw error
    const isAccount = error.taken === checked.account?.toLowerCase()
    throw new ContractError(isAccount ? 'AccountTaken' : 'TelephoneTaken')
  }
}

/** Checks everything. The code for a new number comes last, because checking it uses it up. */
async function check(deps: Deps, user: UserDocument, update: ProfileUpdate): Promise<Checked> {
  checkUserType(user, update.userType)
  const { payPasswordMd5 } = update
  if (payPasswordMd5 !== undefined && user.payPassword) throw new ContractError('PayPasswordWrong')
  const account = await newAccount(deps, user, update.account)
  const payPassword = payPasswordMd5 === undefined ? undefined : await sealPayPassword(deps, payPasswordMd5)
  return { account, payPassword, telephone: await newTelephone(deps, user, update) }
}

/** Looks at the user as read within the change, because another update may have come first. */
function changesOf(
  current: UserDocument,
  fields: PlainFields,
  { account, telephone, payPassword }: Checked,
): ProfileChange {
  const set: ProfileChange = differences(current, fields)
  if (payPassword) {
    if (current.payPassword) throw new ContractError('PayPasswordWrong')
    set.payPassword = payPassword
  }
  if (account) {
    if (current.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
    set.account = account
    set.setAccountCount = 1
  }
  if (telephone) {
    set.telephone = telephone
    set.isAuth = 1
  }
  return account || telephone ? { ...set, ...loginNamesOf({ ...current, ...set }) } : set
}

/** The given fields that differ from the user's. */
function differences(user: UserDocument, fields: PlainFields): PlainFields {
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => value !== undefined && value !== user[name as keyof PlainFields]),
  )
}

function checkUserType(user: UserDocument, userType: number | undefined): void {
  if (userType === undefined || userType === 0 || userType === 1 || userType === user.userType) return
  throw new ContractError('PermissionDenied', { detail: 'userType' })
}

/** An account has 1 to 18 characters, can be changed once and belongs to one user. The own account again is no change. */
async function newAccount(
  { users }: Pick<Deps, 'users'>,
  user: UserDocument,
  account: string | undefined,
): Promise<string | undefined> {
  if (account === undefined || account === user.account) return undefined
  if (!/^[A-Za-z0-9_-]{1,18}$/.test(account) || /^\d+$/.test(account))
    throw new ContractError('InvalidParams', { detail: 'account' })
  if (user.setAccountCount > 0) throw new ContractError('AccountChangedBefore')
  const owner = await users.ownerOf(account.toLowerCase())
  if (owner !== undefined && owner !== user._id) throw new ContractError('AccountTaken')
  return account
}

/**
 * Apps send the user's number, plain or as md5, with every update. A new number needs a code that was sent to it. The same number
 * under another area code is a new number.
 */
async function newTelephone(deps: Deps, user: UserDocument, update: ProfileUpdate): Promise<Telephone | undefined> {
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
  if (!(await deps.smsCodes.redeem(key, 'register', smsCode))) throw new ContractError('SmsCodeInvalid')
  return telephone
}
