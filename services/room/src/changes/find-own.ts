import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'
import { findRoom } from './change-room.ts'

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

/** Reads something of a room for one of its members. Who is removed meanwhile gets nothing: what was read may be newer than that. */
export async function readAsMember<T>(
  deps: Pick<Deps, 'rooms' | 'members'>,
  ref: string,
  userId: number,
  read: (room: RoomDocument, own: MemberDocument) => Promise<T>,
): Promise<T> {
  const { room, own } = await findOwn(deps, ref, userId)
  const found = await read(room, own)
  if (!(await deps.members.find(room._id, userId))) throw new ContractError('NotRoomMember')
  return found
}
