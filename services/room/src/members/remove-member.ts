import { ContractError } from '@im/contracts'
import { memberGone, memberLeft, memberRoles } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { dissolve } from '../changes/dissolve-room.ts'
import type { RoomAct } from '../changes/room-act.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator, isOwner, type MemberDocument, sizesOf } from '../documents/member-document.ts'
import { untilOf } from '../documents/room-document.ts'
import { sees, viewOf } from '../documents/visibility.ts'

/** Takes a member out of a room, or the caller leaves it. The last one who leaves dissolves it. */
export async function removeMember(deps: Deps, ref: string, callerId: number, userId: number): Promise<void> {
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    if (userId === callerId) return await leave(deps, act, own)
    if (!isModerator(own)) throw new ContractError('PermissionDenied')
    const member = await deps.members.find(act.room._id, userId, act.change)
    if (!member || !sees(viewOf(act.room, own), member)) throw new ContractError('MemberNotFound')
    if (!isOwner(own) && member.role !== memberRoles.member) throw new ContractError('PermissionDenied')
    await remove(deps, act, own, member)
  })
}

async function leave(deps: Deps, act: RoomAct, own: MemberDocument): Promise<void> {
  if (!isOwner(own)) return await remove(deps, act, own, own)
  if (act.room.userSize > 1) throw new ContractError('OwnerCannotLeave')
  await dissolve(deps, act, own)
}

/** `by` takes a member out; they are the same when the member leaves. Who is muted is so again when they come back. */
export async function remove(
  { members, mutes }: Pick<Deps, 'members' | 'mutes'>,
  act: RoomAct,
  by: Pick<MemberDocument, 'userId' | 'nickname'>,
  member: MemberDocument,
): Promise<void> {
  await members.remove(member, act.change)
  if (untilOf(member.talkTime, act.seconds)) await mutes.keep(member, act.change)
  await act.update({ sizes: sizesOf(member.role, undefined) })
  act.announce(memberLeft, personOf(by), { member: personOf(member) })
  act.announce(memberGone, personOf(by), { member: memberState(member) })
}
