import type { Deps } from './deps.ts'

/**
 * Removes what this service keeps of a deleted user, except the journal of their money, which is never changed, and their
 * reports, which are about others. Doing it again changes nothing.
 */
export async function forgetUser(
  { keys, openids, collected, courses, ownChanges }: Deps,
  userId: number,
): Promise<void> {
  const kept = [keys, openids, collected, courses, ownChanges]
  await Promise.all(kept.map((repository) => repository.removeUser(userId)))
}
