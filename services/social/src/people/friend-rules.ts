import { ContractError, type ErrorName, type ResultOf } from '@im/contracts'
import { friendRules } from '@im/contracts/user'
import type { ServiceClient } from '@im/service-kit'
import type { Deps } from '../deps.ts'

export type FriendRules = ResultOf<(typeof friendRules)['getFriendRules']>['users'][number]

/** The rules of users as they are at this moment, by userId; those who do not exist are absent. */
export async function askFriendRules(
  user: Pick<ServiceClient, 'call'>,
  userIds: readonly number[],
): Promise<Map<number, FriendRules>> {
  const { users } = await user.call(friendRules.getFriendRules, { userIds: [...userIds] })
  return new Map(users.map((rules) => [rules.userId, rules]))
}

export function refuseSelf(userId: number, toUserId: number): void {
  if (userId === toUserId) throw new ContractError('CannotAddSelf')
}

/** The rules of the caller and of another. Throws CannotAddSelf and UserNotFound. */
export async function rulesOfBoth(
  { user }: Pick<Deps, 'user'>,
  userId: number,
  toUserId: number,
): Promise<{ own: FriendRules; other: FriendRules }> {
  refuseSelf(userId, toUserId)
  const found = await askFriendRules(user, [userId, toUserId])
  const [own, other] = [found.get(userId), found.get(toUserId)]
  if (!other || !own) throw new ContractError('UserNotFound')
  return { own, other }
}

/**
 * Runs a change of what the caller says about a user. Only where it finds no row does it matter whether the user exists: then
 * UserNotFound is thrown instead of `missing`.
 */
export async function changeKnown<T>(
  deps: Pick<Deps, 'people' | 'user'>,
  { userId, toUserId, missing }: { userId: number; toUserId: number; missing: ErrorName },
  change: () => Promise<T>,
): Promise<T> {
  refuseSelf(userId, toUserId)
  try {
    return await change()
  } catch (error) {
    if (error instanceof ContractError && error.errorName === missing) await demandUser(deps, toUserId)
    throw error
  }
}

/** Throws UserNotFound. The owner is asked before somebody is said not to exist. */
export async function demandUser({ people, user }: Pick<Deps, 'people' | 'user'>, userId: number): Promise<void> {
  if (await people.isKnown(userId)) return
  if (!(await askFriendRules(user, [userId])).has(userId)) throw new ContractError('UserNotFound')
}
