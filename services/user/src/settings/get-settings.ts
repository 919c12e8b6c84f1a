import { pickFields } from '@im/contracts'
import { type SettingValues, settingFields } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { getUser } from '../users/find-user.ts'

const publicFields = Object.fromEntries(Object.entries(settingFields).filter(([, field]) => 'isPublic' in field))

/** Returns all settings to the user, and to others those that anybody may read. Throws UserNotFound. */
export async function getSettings(
  deps: Pick<Deps, 'users'>,
  viewerId: number,
  userId: number,
): Promise<Partial<SettingValues>> {
  const { settings } = await getUser(deps, userId)
  return userId === viewerId ? settings : pickFields(publicFields, settings)
}
