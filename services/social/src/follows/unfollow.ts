import { ContractError } from '@im/contracts'
import { systemUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { changeKnown } from '../people/friend-rules.ts'
import { changePair } from '../relations/change-pairs.ts'
import { ended, type Pair } from '../relations/pair.ts'

const publicAccount = 2

/** Ends that the caller follows a user. A friend goes on following the caller; a public account doesn't. */
export async function unfollow(deps: Deps, userId: number, toUserId: number): Promise<void> {
  if (toUserId === systemUserId) throw new ContractError('SystemAccountProtected')
  const isPublic = (await deps.names.ofOne(toUserId))?.userType === publicAccount
  await changeKnown(deps, { userId, toUserId, missing: 'NotFriends' }, () =>
    changePair(deps, userId, toUserId, (pair) => ({ pair: unfollowed(pair, isPublic), how: 'unfollowed' })),
  )
}

export function unfollowed({ own, other }: Pair, isPublic: boolean): Pair {
  if (!own) throw new ContractError('NotFriends')
  if (isPublic) return { own: undefined, other: ended(other) }
  return { own: undefined, other: other?.status === 2 ? { ...other, status: 1 } : other }
}
