import { ContractError } from '@im/contracts'
import { shareDeleted } from '@im/contracts/room'
import { changeAsMember } from '../changes/change-room.ts'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { isModerator } from '../documents/member-document.ts'

/** Takes a file out of a room: who shared it may, and the owner and admins. */
export async function deleteShare(deps: Deps, ref: string, callerId: number, shareId: string): Promise<void> {
  const { shares } = deps
  await changeAsMember(deps, ref, callerId, async (act, own) => {
    const share = await shares.find(act.room._id, shareId, act.change)
    if (!share) throw new ContractError('ShareNotFound')
    if (share.userId !== callerId && !isModerator(own)) throw new ContractError('PermissionDenied')
    await shares.remove(share, act.change)
    act.announce(shareDeleted, personOf(own), { shareId, name: share.name })
  })
}
