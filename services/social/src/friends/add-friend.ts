import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { befriended, type Following, toldBy } from '../follows/follow.ts'
import { rulesOfBoth } from '../people/friend-rules.ts'
import { changePair, type Ruling } from '../relations/change-pairs.ts'
import { isFriend, type Pair } from '../relations/pair.ts'

const byTelephone = 4

/** Accepts a request, or befriends somebody who asks for no consent. Adding a friend again changes nothing. */
export async function addFriend(deps: Deps, userId: number, toUserId: number): Promise<void> {
  const { newFriends, now } = deps
  const both = await rulesOfBoth(deps, userId, toUserId)
  const following = { ...both, fromAddType: byTelephone, now: Math.floor(now() / 1000) }
  await changePair(
    deps,
    userId,
    toUserId,
    (pair) => accepted(pair, following),
    async ({ before, after }, change) => {
      const type = toldBy(before, after)
      if (type) await newFriends.tell([{ from: userId, to: toUserId, type, content: '', at: now() }], change)
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
