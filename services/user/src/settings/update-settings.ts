import { ContractError, settingsChanged } from '@im/contracts'
import type { Settings } from '../accounts/users-repository.ts'
import type { Deps } from '../deps.ts'

/** Changes the given settings and announces those that are different now. */
export async function updateSettings(deps: Deps, userId: number, wanted: Partial<Settings>): Promise<void> {
  const { users, outbox, now } = deps
  await outbox.commit(async (change) => {
    const user = await users.byId(userId)
    if (!user) throw new ContractError('TokenInvalid')
    const changed = Object.entries(wanted).filter(
      ([name, value]) => value !== undefined && value !== user.settings[name as keyof Settings],
    )
    if (!changed.length) return
    const after = await users.changeSettings(userId, Object.fromEntries(changed), change)
    const { multipleDevices, allowGreet } = after?.settings ?? user.settings
    const names = changed.map(([name]) => name)
    change.announce(settingsChanged, String(userId), { userId, changed: names, multipleDevices, allowGreet, at: now() })
  })
}
