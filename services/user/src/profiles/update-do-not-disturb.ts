import { ContractError } from '@im/contracts'
import { doNotDisturbChanged } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { UserDocument } from '../users/user-document.ts'

/** Switches all push notifications of the user off (1) or on (0). */
export async function updateDoNotDisturb(
  { users, outbox, now }: Pick<Deps, 'users' | 'outbox' | 'now'>,
  userId: number,
  offlineNoPushMsg: 0 | 1,
): Promise<UserDocument> {
  return outbox.commit(async (change) => {
    const user = await users.setDoNotDisturb(userId, offlineNoPushMsg, change)
    if (!user) throw new ContractError('TokenInvalid')
    change.announce(doNotDisturbChanged, String(userId), { userId, offlineNoPushMsg, at: now() })
    return user
  })
}
