import { ContractError } from '@im/contracts'
import { type SettingField, type SettingValues, settingFields, settingsChanged } from '@im/contracts/user'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { UserDocument } from '../users/user-document.ts'
import { parseFriendWays } from './friend-ways.ts'

/** Changes the given settings and announces those that differ from before. */
export async function updateSettings(deps: Deps, userId: number, given: Partial<SettingValues>): Promise<void> {
  await deps.outbox.commit(async (change) => {
    const user = await deps.users.byId(userId, change)
    if (!user) throw new ContractError('TokenInvalid')
    changeSettings(deps, user, given, change)
  })
}

/** Does the same inside a change that has read the user, and returns the user with the new settings. */
export function changeSettings(
  { users, now }: Pick<Deps, 'users' | 'now'>,
  user: UserDocument,
  given: Partial<SettingValues>,
  change: Change,
): UserDocument {
  const userId = user._id
  const changed = Object.entries(wanted(given)).filter(
    ([name, value]) => value !== user.settings[name as keyof SettingValues],
  )
  if (!changed.length) return user
  const after = users.changeSettings(user, Object.fromEntries(changed), change)
  const { multipleDevices, allowGreet } = after.settings
  const names = changed.map(([name]) => name)
  change.announce(settingsChanged, String(userId), { userId, changed: names, multipleDevices, allowGreet, at: now() })
  return after
}

function wanted(given: Partial<SettingValues>): Partial<SettingValues> {
  const fields: Record<string, SettingField> = settingFields
  const values = Object.fromEntries(
    Object.entries(given).filter(([name, value]) => value !== undefined && value !== fields[name]?.unchanged),
  )
  const { friendFromList } = given
  return friendFromList === undefined ? values : { ...values, friendFromList: parseFriendWays(friendFromList) }
}
