import { ContractError } from '@im/contracts'
import { systemUserId } from '@im/contracts/user'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { eraseThoseGone } from '../people/erase-user.ts'
import { rulesOfBoth } from '../people/friend-rules.ts'
import { changePairsWithin, type Ruling, type Told, tellAtOnce } from '../relations/change-pairs.ts'
import { newRelation, type Pair, type Relation, withStatus } from '../relations/pair.ts'

const publicAccount = 2
/** fromAddType of friends that nobody chose. */
const bySystem = 0
const forEver = -1

/**
 * Befriends a system or public account: the caller alone, or for a super administrator every user, which goes on after the answer.
 */
export async function befriendAccount(
  deps: Deps,
  caller: { userId: number; isSuperAdmin: boolean },
  account: number,
): Promise<void> {
  const { other } = await rulesOfBoth(deps, caller.userId, account)
  if (account !== systemUserId && other.userType !== publicAccount)
    throw new ContractError('InvalidParams', { detail: 'toUserId: no public account' })
  if (caller.isSuperAdmin) return await deps.everybodysFriends.add(account)
  const told = await deps.outbox.commit((change) => befriendWithin(deps, caller.userId, [account], change))
  await tellAtOnce(deps, told)
  await eraseThoseGone(deps, [caller.userId, account])
}

/**
 * Makes a user and others friends, without asking anybody, within a change. Those who are friends stay as they are, and so do those of
 * whom one has blocked the other.
 */
export async function befriendWithin(
  deps: Pick<Deps, 'relations' | 'labels' | 'now'>,
  userId: number,
  others: readonly number[],
  change: Change,
): Promise<Told[]> {
  const now = Math.floor(deps.now() / 1000)
  const row = (owner: number, toUserId: number, known: Relation | undefined) =>
    withStatus(known ?? newRelation({ userId: owner, toUserId, chatRecordTimeOut: forEver, now }), 2, now, bySystem)
  const rule = ({ own, other }: Pair, toUserId: number): Ruling | undefined =>
    own?.blacklist || other?.blacklist
      ? undefined
      : { pair: { own: row(userId, toUserId, own), other: row(toUserId, userId, other) }, how: 'befriended' }
  const { told } = await changePairsWithin(
    deps,
    userId,
    others.filter((other) => other !== userId),
    rule,
    change,
  )
  return told
}
