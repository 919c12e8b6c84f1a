import { ContractError } from '@im/contracts'
import { systemUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { changeKnown } from '../people/friend-rules.ts'
import { changePair } from '../relations/change-pairs.ts'
import { ended, type Pair } from '../relations/pair.ts'

/** Ends everything between the caller and a user, but for what the user has blocked. */
export async function deleteFriend(deps: Deps, userId: number, toUserId: number): Promise<void> {
  if (toUserId === systemUserId) throw new ContractError('SystemAccountProtected')
  await changeKnown(deps, { userId, toUserId, missing: 'NotFriends' }, () =>
    changePair(deps, userId, toUserId, (pair) => ({ pair: deleted(pair), how: 'deleted' })),
  )
}

/** A row of the other that only notes something about the caller, or blocks them, is not theirs to remove. */
export function deleted({ own, other }: Pair): Pair {
  if (!own) throw new ContractError('NotFriends')
  return { own: undefined, other: other?.status ? ended(other) : other }
}
