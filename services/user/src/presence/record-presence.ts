import type { Payload } from '@im/contracts'
import type { presenceChanged } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

/** Keeps onlinestate and the last time offline. News that comes late or twice changes nothing. */
export async function recordPresence(
  { users }: Pick<Deps, 'users'>,
  { userId, online, at }: Payload<typeof presenceChanged>,
): Promise<void> {
  await users.setPresence(userId, online, at)
}
