import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** Removes everything of a deleted user but that they are gone. Doing it again changes nothing. */
export async function eraseUser(
  { tokens, badges, friendRows, rooms }: Pick<Deps, 'tokens' | 'badges' | 'friendRows' | 'rooms'>,
  userId: number,
  change: Change,
): Promise<void> {
  await tokens.removeUser(userId, change)
  await badges.removeUser(userId, change)
  await friendRows.removeUser(userId, change)
  await rooms.removeUser(userId, change)
}
