import { pickFields } from '@im/contracts'
import { type SettingValues, settingFields } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { getUser } from '../users/find-user.ts'

const publicFields = Object.fromEntries(Object.entries(settingFields).filter(([, field]) => 'isPublic' in field))

/** All settings of the viewer, of others those that anybody may read. UserNotFound. */
export async function getSettings(
  deps: Pick<Deps, 'users'>,
  viewerId: number,
  userId: number,
): Promise<Partial<SettingValues>> {
  const { settings } = await getUser(deps, userId)
  return userId === viewerId ? settings : pickFields(publicFields, settings)
}
