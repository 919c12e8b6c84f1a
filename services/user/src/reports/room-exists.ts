import type { Call } from '@im/contracts'
import { internalRooms } from '@im/contracts/room'
import type { Deps } from '../deps.ts'

/** Asks the room service. A room has at least its owner as member. */
export async function roomExists(
  { room }: Pick<Deps, 'room'>,
  roomId: string,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<boolean> {
  const { members } = await room.call(internalRooms.pageMembers, { roomId, pageSize: 1 }, waiting)
  return members.length > 0
}
