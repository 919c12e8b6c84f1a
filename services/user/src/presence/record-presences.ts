import type { Payload } from '@im/contracts'
import type { presencesChanged } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

/** Keeps onlinestate and the last time offline. An event that comes late or twice changes nothing. */
export async function recordPresences(
  { users }: Pick<Deps, 'users'>,
  changes: Payload<typeof presencesChanged>['changes'],
): Promise<void> {
  await users.setPresences(changes)
}
