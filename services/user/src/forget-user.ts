import { ContractError } from '@im/contracts'
import type { Deps } from './deps.ts'

type ForgettingDeps = Pick<Deps, 'keys' | 'openids' | 'collected' | 'courses' | 'ownChanges'>

/**
 * Removes what this service keeps of a deleted user, except the journal of their money, which is never changed, and their
 * reports, which are about others. Doing it again changes nothing.
 */
export async function forgetUser(
  { keys, openids, collected, courses, ownChanges }: ForgettingDeps,
  userId: number,
): Promise<void> {
  const kept = [keys, openids, collected, courses, ownChanges]
  await Promise.all(kept.map((repository) => repository.removeUser(userId)))
}

/**
 * Runs a call that keeps something of its caller. Who is deleted while it is under way may be forgotten before it is kept: then it
 * is removed again, and TokenInvalid is thrown.
 */
export async function keepOf<T>(
  deps: ForgettingDeps & Pick<Deps, 'users'>,
  userId: number,
  keep: () => Promise<T>,
): Promise<T> {
  const result = await keep()
  if (await deps.users.exists(userId)) return result
  await forgetUser(deps, userId)
  throw new ContractError('TokenInvalid')
}
