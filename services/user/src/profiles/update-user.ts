import { ContractError } from '@im/contracts'
import { publicUserFields, telephoneChanged, userUpdated } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { changeSettings } from '../settings/update-settings.ts'
import { loginNamesOf } from '../users/login-names.ts'
import { NameTakenError } from '../users/names-repository.ts'
import type { UserDocument } from '../users/user-document.ts'
import type { PlainFields, ProfileChange } from '../users/users-repository.ts'
import { type CheckedUpdate, checkUpdate, type ProfileUpdate } from './check-update.ts'

/** Whether others see a field. Only such changes are announced. */
const isShownToOthers = (name: string) =>
  name in publicUserFields || name === 'telephone' || name === 'msgBackGroundUrl'

/** Changes the given parts of the caller's profile, all of them or none, and returns the user. */
export async function updateUser(deps: Deps, userId: number, update: ProfileUpdate): Promise<UserDocument> {
  const { users, outbox, now } = deps
  const [user, accountOwner] = await Promise.all([
    users.byId(userId),
    update.account === undefined ? undefined : users.ownerOf(update.account.toLowerCase()),
  ])
  if (!user) throw new ContractError('TokenInvalid')
  const checked = await checkUpdate(deps, { user, accountOwner }, update)
  const { fields, settings } = update
  try {
    return await outbox.commit(async (change) => {
      let current = await users.byId(userId, change)
      if (!current) throw new ContractError('TokenInvalid')
      const set = changesOf(current, fields, checked)
      if (Object.keys(set).length) current = users.changeProfile(current, set, change)
      if (Object.keys(set).some(isShownToOthers)) {
        const { nickname, account } = current
        change.announce(userUpdated, String(userId), { userId, nickname, account, updatedAt: now() })
      }
      if (set.telephone) change.announce(telephoneChanged, String(userId), { userId, at: now() })
      const updated = changeSettings(deps, current, settings, change)
      await checked.proof?.use()
      return updated
    })
  } catch (error) {
    if (!(error instanceof NameTakenError)) throw error
    const isAccount = error.taken === checked.account?.toLowerCase()
    throw new ContractError(isAccount ? 'AccountTaken' : 'TelephoneTaken')
  }
}

/** Looks at the user as read within the change, because another update may have come first. */
function changesOf(
  current: UserDocument,
  fields: PlainFields,
  { account, telephone, payPassword }: CheckedUpdate,
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
