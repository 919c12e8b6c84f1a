import { ContractError } from '@im/contracts'
import { type MemberRole, memberRoles } from '@im/contracts/room'
import { internalRelations } from '@im/contracts/social'
import { firstUserId } from '@im/contracts/user'
import { limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Candidate } from './admit.ts'

const friends = 2
const strangersPerDay = { max: 100, seconds: 86_400 }

/**
 * Those of the users whom somebody may bring into a room: users who exist, are no system accounts and have not blocked them; friends, and for the owner
 * and admins also 100 others a day. Others are left out; `isSingle`: it is NotFriendsCannotInvite instead.
 */
export async function pickInvited(
  deps: Pick<Deps, 'names' | 'social' | 'rateCounters'>,
  by: { userId: number; role: MemberRole },
  wanted: readonly number[],
  { isSingle = false } = {},
): Promise<Candidate[]> {
  const { names, social, rateCounters } = deps
  const others = wanted.filter((userId) => userId !== by.userId && userId >= firstUserId)
  if (!others.length) return []
  const [known, { relations }] = await Promise.all([
    names.of(others),
    social.call(internalRelations.getRelations, { viewerId: by.userId, userIds: others }),
  ])
  const invitable = relations.filter(({ userId, blockedBy }) => known.has(userId) && !blockedBy)
  const strangers = invitable.filter((relation) => relation.friends?.status !== friends)
  const mayInviteStrangers = by.role === memberRoles.owner || by.role === memberRoles.admin
  if (strangers.length && !mayInviteStrangers && isSingle) throw new ContractError('NotFriendsCannotInvite')
  if (strangers.length && mayInviteStrangers) await countStrangers(rateCounters, by.userId, strangers.length)
  const refused = new Set(mayInviteStrangers ? [] : strangers.map(({ userId }) => userId))
  return invitable
    .filter(({ userId }) => !refused.has(userId))
    .map(({ userId }) => ({ userId, nickname: known.get(userId) ?? String(userId) }))
}

/** Counts all of them, or none and throws RateLimited. */
async function countStrangers(counters: Deps['rateCounters'], userId: number, count: number): Promise<void> {
  const limit = { key: `room-strangers:${userId}`, ...strangersPerDay }
  const granted = await counters.takeBlock(limit, count)
  if (typeof granted === 'object') throw limitError('RateLimited', granted.waitSeconds)
  if (granted === count) return
  await counters.giveBack(...Array<typeof limit>(granted).fill(limit))
  throw limitError('RateLimited', limit.seconds)
}
