import { ContractError } from '@im/contracts'
import { friendRequested, pairOf } from '@im/contracts/social'
import { systemUserId } from '@im/contracts/user'
import { limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { askFriendRules } from '../people/friend-rules.ts'
import { changePairs, type Ruling } from '../relations/change-pairs.ts'
import { isFriend, type Pair, withStatus } from '../relations/pair.ts'
import { befriended, type Following, rowOf, toldBy } from './follow.ts'
import { requestLimit } from './request-limit.ts'

const byTelephone = 4

/**
 * Asks many users to become friends. Who needs no asking, asked before, or has the caller in their address book as the caller has
 * them, is a friend at once. Whoever can't be asked is passed over.
 */
export async function followMany(deps: Deps, userId: number, toUserIds: readonly number[]): Promise<void> {
  const { user, books, relations, newFriends } = deps
  if (!toUserIds.length) throw new ContractError('MissingParam', { detail: 'toUserIds' })
  const wanted = toUserIds.filter((toUserId) => toUserId !== userId && toUserId !== systemUserId)
  if (!wanted.length) return
  const rules = await askFriendRules(user, [userId, ...wanted])
  const own = rules.get(userId)
  if (!own) throw new ContractError('UserNotFound')
  const known = wanted.filter((toUserId) => rules.has(toUserId))
  const [mutual, pairs] = await Promise.all([books.mutual(userId, known), relations.pairs(userId, known)])
  const now = Math.floor(deps.now() / 1000)
  const rulingOf = (pair: Pair, toUserId: number) =>
    asked(pair, { own, other: rules.get(toUserId)!, fromAddType: byTelephone, now }, mutual.has(toUserId))
  const asking = known.filter((toUserId) => rulingOf(pairs.get(toUserId)!, toUserId))
  const targets = await withinLimit(deps, userId, asking)
  await changePairs(deps, userId, targets, rulingOf, async (changed, change) => {
    const at = deps.now()
    for (const { toUserId, after } of changed)
      if (!isFriend(after)) change.announce(friendRequested, pairOf(userId, toUserId), { userId, toUserId, at })
    newFriends.tell(
      changed.map(({ toUserId: to, before, after }) => ({
        from: userId,
        to,
        type: toldBy(before, after)!,
        content: '',
        at,
      })),
      change,
    )
  })
}

function asked(pair: Pair, following: Following, isMutual: boolean): Ruling | undefined {
  const { own, other, fromAddType, now } = following
  if (isFriend(pair) || pair.own?.blacklist || pair.other?.blacklist || !other.allowAtt) return undefined
  if (!other.friendsVerify || isMutual || (pair.other?.status ?? 0) > 0)
    return { pair: befriended(pair, following), how: 'befriended' }
  if (pair.own?.status === 1) return undefined
  const row = pair.own ?? rowOf(own, other.userId, now)
  return { pair: { own: withStatus(row, 1, now, fromAddType), other: pair.other }, how: 'followed' }
}

/**
 * As many as the caller may still ask today, of the count that each call of `follow` is in, too. Throws RateLimited when that is
 * nobody.
 */
async function withinLimit({ rateCounters }: Deps, userId: number, targets: number[]): Promise<number[]> {
  if (!targets.length) return targets
  const granted = await rateCounters.takeBlock(requestLimit(userId), targets.length)
  if (typeof granted === 'object') throw limitError('RateLimited', granted.waitSeconds)
  return targets.slice(0, granted)
}
