import { ContractError } from '@im/contracts'
import { memberRoles } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { findOwn } from '../changes/find-own.ts'
import type { Deps } from '../deps.ts'
import { isModerator, type MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'
import { admit } from './admit.ts'
import { pickInvited } from './pick-invited.ts'
import { settleNewcomers } from './settle-newcomers.ts'

/**
 * Brings users into a room. Unknown ones, members, and users who blocked the caller are left out. Where joining needs approval,
 * the owner or an admin gives it by this.
 */
export async function inviteMembers(
  deps: Deps,
  ref: string,
  callerId: number,
  userIds: readonly number[],
): Promise<void> {
  const { members } = deps
  const { room, own } = await findOwn(deps, ref, callerId)
  if (room.s === -1) throw new ContractError('RoomLocked')
  demandMayInvite(room, own)
  const present = new Set((await members.findAll(room._id, userIds)).map(({ userId }) => userId))
  const absent = userIds.filter((userId) => !present.has(userId))
  const candidates = await pickInvited(deps, own, absent, { isSingle: userIds.length === 1 })
  if (!candidates.length) return
  await changeAsMember(deps, room._id, callerId, async (act, inviter) => {
    demandMayInvite(act.room, inviter)
    // They were picked by what an admin may do.
    if (isModerator(own) && !isModerator(inviter)) throw new ContractError('InviteNotAllowed')
    await admit(deps, act, inviter, candidates)
  })
  await settleNewcomers(deps, candidates)
}

function demandMayInvite(room: RoomDocument, inviter: MemberDocument): void {
  if (isModerator(inviter)) return
  if (inviter.role !== memberRoles.member || !room.allowInviteFriend) throw new ContractError('InviteNotAllowed')
  if (room.isNeedVerify) throw new ContractError('JoinNeedsApproval')
}
