import { ContractError } from '@im/contracts'
import { settingsChanged } from '@im/contracts/user'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Settings, UserDocument } from '../users/user-document.ts'

/** Changes the given settings and announces those that are different now. */
export async function updateSettings(deps: Deps, userId: number, wanted: Partial<Settings>): Promise<void> {
  await deps.outbox.commit(async (change) => {
    const user = await deps.users.byId(userId, change)
    if (!user) throw new ContractError('TokenInvalid')
    await changeSettings(deps, user, wanted, change)
  })
}

/** The same inside a change that has read the user; gives him as he is then. */
export async function changeSettings(
  { users, now }: Pick<Deps, 'users' | 'now'>,
  user: UserDocument,
  wanted: Partial<Settings>,
  change: Change,
): Promise<UserDocument> {
  const userId = user._id
  const changed = Object.entries(wanted).filter(
    ([name, value]) => value !== undefined && value !== user.settings[name as keyof Settings],
  )
  if (!changed.length) return user
  const after = (await users.changeSettings(userId, Object.fromEntries(changed), change)) ?? user
  const { multipleDevices, allowGreet } = after.settings
  const names = changed.map(([name]) => name)
  change.announce(settingsChanged, String(userId), { userId, changed: names, multipleDevices, allowGreet, at: now() })
  return after
}
