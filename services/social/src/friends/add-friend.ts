import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { befriended, type Following, toldBy } from '../follows/follow.ts'
import { requestLimit } from '../follows/request-limit.ts'
import { rulesOfBoth } from '../people/friend-rules.ts'
import { changePair, type Ruling } from '../relations/change-pairs.ts'
import { isFriend, type Pair } from '../relations/pair.ts'

const byTelephone = 4
/** Type of the message that stands for a friend who had not asked (spec xmpp.md §6.2). */
const unasked = 508

/**
 * Accepts a request, or befriends somebody who asks for no consent, which counts as a request. Adding a friend again changes nothing.
 */
export async function addFriend(deps: Deps, userId: number, toUserId: number): Promise<void> {
  const { newFriends, rateCounters, now } = deps
  const both = await rulesOfBoth(deps, userId, toUserId)
  const following = { ...both, fromAddType: byTelephone, now: Math.floor(now() / 1000) }
  let counted: Promise<void> | undefined
  await changePair(
    deps,
    userId,
    toUserId,
    (pair) => accepted(pair, following),
    async ({ before, after }, change) => {
      const type = toldBy(before, after)
      if (type === unasked) {
        // Once, however often the change is tried.
        counted ??= rateCounters.demand('RateLimited', requestLimit(userId))
        await counted
      }
      if (type) newFriends.tell([{ from: userId, to: toUserId, type, content: '', at: now() }], change)
    },
  )
}

export function accepted({ own, other }: Pair, following: Following): Ruling {
  if (other?.blacklist) throw new ContractError('BlacklistedByTarget')
  const pair = { own: own && { ...own, blacklist: 0 as const }, other }
  if (isFriend(pair)) return { pair, how: 'befriended' }
  const { allowAtt, friendsVerify } = following.other
  const hasAsked = (other?.status ?? 0) > 0
  if (!hasAsked && (friendsVerify || !allowAtt)) throw new ContractError('NoFriendRequest')
  return { pair: befriended(pair, following), how: 'befriended' }
}
