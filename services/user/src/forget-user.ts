import type { Deps } from './deps.ts'

/**
 * Removes what this service keeps of a deleted user, but for money: its journal is never changed, and reports, which are about
 * others. Doing it again changes nothing.
 */
export async function forgetUser({ keys, openids }: Deps, userId: number): Promise<void> {
  await Promise.all([keys.removeUser(userId), openids.removeUser(userId)])
}
