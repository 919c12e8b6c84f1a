import type { Deps } from './deps.ts'

/**
 * Removes what this service keeps of a deleted user, but for money: its journal is never changed, and reports, which are about
 * others. Doing it again changes nothing.
 */
export async function forgetUser(
  { keys, openids, collected, courses, ownChanges }: Deps,
  userId: number,
): Promise<void> {
  const kept = [keys, openids, collected, courses, ownChanges]
  await Promise.all(kept.map((repository) => repository.removeUser(userId)))
}
