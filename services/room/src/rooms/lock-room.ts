import { roomChanged } from '@im/contracts/room'
import { noticeUserId } from '@im/contracts/user'
import { changeRoom } from '../changes/change-room.ts'
import type { Deps } from '../deps.ts'

/** Locks a room for its members, who then can only read, or unlocks it. */
export async function lockRoom(deps: Deps, ref: string, isLocked: boolean): Promise<void> {
  await changeRoom(deps, ref, async (act) => {
    const s = isLocked ? -1 : 1
    if (act.room.s === s) return
    await act.update({ set: { s } })
    act.announce(roomChanged, { userId: noticeUserId, name: String(noticeUserId) }, { changed: ['locked'] })
  })
}
