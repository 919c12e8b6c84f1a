import { type MemberRole, memberRoles, type Room } from '@im/contracts/room'
import { skipOf } from '@im/service-kit'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import { memberView } from '../members/member-view.ts'
import { ownerNames } from './owner-names.ts'
import { roomCard, roomView } from './room-view.ts'

interface Page {
  pageIndex: number
  pageSize: number
}

/** Public rooms, newest first. */
export async function listRooms(
  deps: Deps,
  viewerId: number,
  { roomName, pageIndex, pageSize }: Page & { roomName?: string | undefined },
): Promise<Static<typeof Room>[]> {
  const skip = pageIndex * pageSize
  const rooms = await (roomName === undefined
    ? deps.rooms.listPublic(skip, pageSize)
    : deps.rooms.searchPublic(roomName, skip, pageSize, Math.floor(deps.now() / 1000)))
  const ids = rooms.map(({ _id }) => _id)
  const [own, nameOf] = await Promise.all([deps.members.ofUser(viewerId, ids), ownerNames(deps, rooms)])
  return rooms.map((room) => {
    const member = own.get(room._id)
    const card = roomCard(room, nameOf(room))
    return member ? { ...card, member: memberView(member, room, member) } : card
  })
}

const { owner, ...others } = memberRoles
/** By `type` of /room/list/his. */
const rolesOfType: readonly (readonly MemberRole[])[] = [Object.values(memberRoles), [owner], Object.values(others)]

/** Rooms of the caller, newest first, locked ones too. */
export async function listOwnRooms(
  deps: Deps,
  userId: number,
  { type, pageIndex, pageSize }: Page & { type: number },
): Promise<Static<typeof Room>[]> {
  const roles = rolesOfType[type] ?? Object.values(memberRoles)
  const skip = skipOf({ pageIndex, pageSize })
  if (skip === undefined) return []
  const ids = (await deps.members.pageOfUser(userId, roles, skip, pageSize)).map(({ roomId }) => roomId)
  const rooms = await deps.rooms.byIds(ids)
  // Who was removed between the two questions sees nothing that may be newer than that.
  const [own, nameOf] = await Promise.all([deps.members.ofUser(userId, ids), ownerNames(deps, [...rooms.values()])])
  return ids.flatMap((id) => {
    const [room, member] = [rooms.get(id), own.get(id)]
    return room && member && !room.dissolvedAt ? [roomView(room, nameOf(room), member)] : []
  })
}
