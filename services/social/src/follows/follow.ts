import { ContractError } from '@im/contracts'
import type { FollowOutcome } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import { type FriendRules, rulesOfBoth } from '../people/friend-rules.ts'
import { changePair, type Ruling } from '../relations/change-pairs.ts'
import { isFriend, newRelation, type Pair, type Relation, withStatus } from '../relations/pair.ts'
import { demandFriendWay } from './friend-ways.ts'

const publicAccount = 2

export interface Following {
  own: FriendRules
  other: FriendRules
  fromAddType: number
  /** Seconds. */
  now: number
}

/** Follows a user; both are friends when the other allows that or has asked for it. */
export async function follow(
  deps: Deps,
  userId: number,
  { toUserId, fromAddType }: { toUserId: number; fromAddType: number },
): Promise<FollowOutcome> {
  const { newFriends, now } = deps
  const following = { ...(await rulesOfBoth(deps, userId, toUserId)), fromAddType, now: Math.floor(now() / 1000) }
  const { before, after } = await changePair(
    deps,
    userId,
    toUserId,
    (pair) => followed(pair, following),
    async ({ before, after }, change) => {
      const type = toldBy(before, after)
      if (type) newFriends.tell([{ from: userId, to: toUserId, type, content: '', at: now() }], change)
    },
  )
  return outcomeOf(before, after)
}

/** The steps of the table in spec 03-friends.md, /friends/attention/add. */
export function followed(pair: Pair, following: Following): Ruling {
  if (pair.other?.blacklist) throw new ContractError('BlacklistedByTarget')
  const { own: ownRules, other: rules, fromAddType, now } = following
  const own: Relation = { ...(pair.own ?? rowOf(ownRules, rules.userId, now)), blacklist: 0 }
  if (isFriend(pair)) return { pair: { own, other: pair.other }, how: 'befriended' }
  const isFollowed = (pair.other?.status ?? 0) > 0
  if (!rules.allowAtt && !isFollowed) throw new ContractError('FollowRefused')
  demandFriendWay(rules.friendFromList, fromAddType)
  if (rules.userType !== publicAccount && rules.friendsVerify && !isFollowed)
    return { pair: { own: withStatus(own, 1, now, fromAddType), other: pair.other }, how: 'followed' }
  return { pair: befriended({ own, other: pair.other }, following), how: 'befriended' }
}

/** Both become friends. */
export function befriended(pair: Pair, { own, other, fromAddType, now }: Following): Pair {
  return {
    own: withStatus(pair.own ?? rowOf(own, other.userId, now), 2, now, fromAddType),
    other: withStatus(pair.other ?? rowOf(other, own.userId, now), 2, now, fromAddType),
  }
}

export const rowOf = ({ userId, chatRecordTimeOut }: FriendRules, toUserId: number, now: number): Relation =>
  newRelation({ userId, toUserId, chatRecordTimeOut, now })

function outcomeOf(before: Pair, after: Pair): FollowOutcome {
  if (isFriend(before)) return 'friendsBefore'
  if (isFriend(after)) return 'befriended'
  return before.own?.status === 1 ? 'followedBefore' : 'followed'
}

/** The type of message (spec xmpp.md §6.2) that stands for a change in the list of new friends; undefined for none. */
export function toldBy(before: Pair, after: Pair): number | undefined {
  if (isFriend(before)) return undefined
  if (isFriend(after)) return before.other?.status === 1 ? 501 : 508
  return 500
}
