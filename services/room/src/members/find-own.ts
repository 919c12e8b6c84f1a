import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { findRoom } from '../rooms/change-room.ts'
import type { RoomDocument } from '../rooms/room-document.ts'
import type { MemberDocument } from './member-document.ts'

/** A room and the record of one of its members, to be read. Throws RoomNotFound and NotRoomMember. */
export async function findOwn(
  deps: Pick<Deps, 'rooms' | 'members'>,
  ref: string,
  userId: number,
): Promise<{ room: RoomDocument; own: MemberDocument }> {
  const room = await findRoom(deps, ref)
  const own = await deps.members.find(room._id, userId)
  if (!own) throw new ContractError('NotRoomMember')
  return { room, own }
}
