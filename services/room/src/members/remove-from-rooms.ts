import { ContractError } from '@im/contracts'
import { changeRoom } from '../changes/change-room.ts'
import { dissolve } from '../changes/dissolve-room.ts'
import type { Deps } from '../deps.ts'
import { isOwner } from '../documents/member-document.ts'
import { remove } from './remove-member.ts'

/** A user was deleted: their own rooms are dissolved, and they leave the others. */
export async function removeFromRooms(deps: Deps, userId: number): Promise<void> {
  const { members, mutes, people, outbox } = deps
  await outbox.commit((change) => people.remove([userId], change))
  for (const { roomId } of await members.everywhere(userId))
    await changeRoom(deps, roomId, async (act) => {
      const own = await members.find(roomId, userId, act.change)
      if (!own) return
      if (isOwner(own)) await dissolve(deps, act, own)
      else await remove(deps, act, own, own)
    }).catch((error: unknown) => {
      // Somebody dissolved it meanwhile.
      if (!(error instanceof ContractError && error.errorName === 'RoomNotFound')) throw error
    })
  await outbox.commit((change) => mutes.removeOf(userId, change))
}
