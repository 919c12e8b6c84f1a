import { ContractError } from '@im/contracts'
import { membersJoined } from '@im/contracts/room'
import type { RoomAct } from '../changes/room-act.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { type MemberDocument, newMember, sizesOf } from '../documents/member-document.ts'
import { untilOf } from '../documents/room-document.ts'

/** Events have a size limit. */
const toldAtOnce = 1000

/** A user who may become a member. */
export interface Candidate {
  userId: number
  nickname: string
}

/**
 * Makes users members, those who are not yet; a mute of theirs that has not ended is in force again. Throws RoomFull when not all of
 * them have room. `by` invited them; they are one of the users when they joined by themselves.
 */
export async function admit(
  { members, mutes }: Pick<Deps, 'members' | 'mutes'>,
  act: RoomAct,
  by: Candidate,
  candidates: readonly Candidate[],
): Promise<void> {
  if (!candidates.length) return
  const { room, change } = act
  const userIds = candidates.map(({ userId }) => userId)
  const present = new Set((await members.findAll(room._id, userIds, change.session)).map(({ userId }) => userId))
  const absent = candidates.filter(({ userId }) => !present.has(userId))
  const until = await mutes.take(
    room._id,
    absent.map(({ userId }) => userId),
    change,
  )
  const joining = absent.map(({ userId, nickname }) => ({
    ...newMember({ room, userId, nickname, now: act.at }),
    talkTime: untilOf(until.get(userId) ?? 0, act.seconds),
  }))
  await addMembers({ members }, act, by, joining)
}

/** Adds records of new members, whatever their roles, and tells the room. */
export async function addMembers(
  { members }: Pick<Deps, 'members'>,
  act: RoomAct,
  by: Candidate,
  joining: readonly MemberDocument[],
): Promise<void> {
  if (!joining.length) return
  const { userSize, maxUserSize } = act.room
  if (userSize + joining.length > maxUserSize) throw new ContractError('RoomFull')
  await members.add(joining, act.change)
  await act.update({ sizes: totalSizes(joining) })
  for (let from = 0; from < joining.length; from += toldAtOnce) {
    const told = joining.slice(from, from + toldAtOnce).map(memberState)
    act.announce(membersJoined, personOf(by), { members: told })
  }
}

function totalSizes(joining: readonly MemberDocument[]) {
  const total = { userSize: 0, hiddenSize: 0, adminSize: 0 }
  for (const { role } of joining) {
    const { userSize, hiddenSize, adminSize } = sizesOf(undefined, role)
    total.userSize += userSize
    total.hiddenSize += hiddenSize
    total.adminSize += adminSize
  }
  return total
}
