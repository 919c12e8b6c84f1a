import { ContractError } from '@im/contracts'
import { fanRemoved, pairOf } from '@im/contracts/social'
import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { changePair } from '../relations/change-pairs.ts'
import { ended } from '../relations/pair.ts'

/**
 * Ends everything between an account and a fan, but for what either has blocked. The fan is told. The system account is everybody's
 * friend, and no fan.
 */
export async function deleteFan(deps: Deps, account: number, fan: number): Promise<void> {
  if (fan < firstUserId) throw new ContractError('NotFriends')
  await changePair(
    deps,
    account,
    fan,
    ({ own, other }) => {
      if (!other?.status) throw new ContractError('NotFriends')
      return { pair: { own: ended(own), other: ended(other) }, how: 'deleted' }
    },
    async (_, change) => {
      change.announce(fanRemoved, pairOf(account, fan), { userId: account, toUserId: fan, at: deps.now() })
    },
  )
}
