import { ContractError } from '@im/contracts'
import { systemUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { rowOf } from '../follows/follow.ts'
import { rulesOfBoth } from '../people/friend-rules.ts'
import { changePair } from '../relations/change-pairs.ts'

/** Type of the message that says so (spec xmpp.md §6.2). */
const blocked = 507

/** Blocks a user: their messages are refused from the answer on. */
export async function blockUser(deps: Deps, userId: number, toUserId: number): Promise<void> {
  if (toUserId === systemUserId) throw new ContractError('SystemAccountProtected')
  const { own: rules } = await rulesOfBoth(deps, userId, toUserId)
  const { newFriends, now } = deps
  const seconds = Math.floor(now() / 1000)
  await changePair(
    deps,
    userId,
    toUserId,
    ({ own = rowOf(rules, toUserId, seconds), other }) => {
      if (own.blacklist) throw new ContractError('AlreadyOnBlacklist')
      return { pair: { own: { ...own, blacklist: 1 }, other } }
    },
    async (_, change) =>
      newFriends.tell([{ from: userId, to: toUserId, type: blocked, content: '', at: now() }], change),
  )
}
