import { waitingRoomChanged } from '@im/contracts/room'
import { personOf } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'

/** The caller waits no longer. */
export async function leaveWaitingRoom(deps: Deps, userId: number, jid: string): Promise<void> {
  const { waitingRooms, outbox, now } = deps
  const found = await waitingRooms.find(jid)
  if (!found) return
  await outbox.commit(async (change) => {
    const rooms = await waitingRooms.of(found.digits, change)
    const room = rooms.find((each) => each.jid === jid)
    const leaving = room?.members.find((member) => member.userId === userId)
    if (!room || !leaving) return
    const members = room.members.filter((member) => member.userId !== userId)
    const at = now()
    const left = { ...room, members, changedAt: at }
    await waitingRooms.put(found.digits, [...rooms.filter((each) => each.jid !== jid), left], change)
    const userIds = members.map((member) => member.userId)
    if (userIds.length) change.announce(waitingRoomChanged, jid, { jid, userIds, by: personOf(leaving), at })
  })
}
