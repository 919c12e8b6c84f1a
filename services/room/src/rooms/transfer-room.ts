import { ContractError } from '@im/contracts'
import { memberRoles, roomTransferred } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { memberState, personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isOwner, rankOf, sizesOf } from '../documents/member-document.ts'
import type { MadeRoom } from './add-room.ts'

/** Makes another member the owner. The old owner becomes an ordinary member. */
export function transferRoom(deps: Deps, ref: string, callerId: number, userId: number): Promise<MadeRoom> {
  const { members } = deps
  return changeAsMember(deps, ref, callerId, async (act, own) => {
    if (!isOwner(own)) throw new ContractError('OwnerOnly')
    if (userId === callerId) throw new ContractError('InvalidParams', { detail: 'toUserId: the owner' })
    const heir = await members.find(act.room._id, userId, act.change)
    if (!heir) throw new ContractError('MemberNotFound')
    const modifyTime = act.seconds
    // Nobody can mute an owner.
    const asOwner = { role: memberRoles.owner, rank: rankOf(memberRoles.owner), talkTime: 0, modifyTime }
    const asMember = { role: memberRoles.member, rank: rankOf(memberRoles.member), modifyTime }
    await members.set(heir, asOwner, act.change)
    await members.set(own, asMember, act.change)
    const { adminSize, hiddenSize } = sizesOf(heir.role, memberRoles.owner)
    await act.update({ set: { userId, modifyTime, modifier: callerId }, sizes: { adminSize, hiddenSize } })
    act.announce(roomTransferred, personOf(own), { to: memberState({ ...heir, ...asOwner }) })
    return { room: act.room, own: { ...own, ...asMember } }
  })
}
