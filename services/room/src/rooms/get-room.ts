import type { Room } from '@im/contracts/room'
import type { Static } from 'typebox'
import { findRoom } from '../changes/change-room.ts'
import type { Deps } from '../deps.ts'
import { viewOf } from '../documents/visibility.ts'
import { ownerName } from './owner-names.ts'
import { roomCard, roomView } from './room-view.ts'

/** A room with a page of its members and its notices. Others than its members get its card. */
export async function getRoom(
  deps: Deps,
  ref: string,
  viewerId: number,
  { pageIndex, pageSize }: { pageIndex: number; pageSize: number },
): Promise<Static<typeof Room>> {
  const room = await findRoom(deps, ref)
  const [own, owner] = await Promise.all([deps.members.find(room._id, viewerId), ownerName(deps, room)])
  if (!own) return roomCard(room, owner)
  const [members, notices] = await Promise.all([
    deps.members.page(room._id, viewOf(room, own), pageIndex * pageSize, pageSize),
    deps.notices.list(room._id),
  ])
  return roomView(room, owner, own, { members, notices })
}

/** The same with the owner and the admins alone, and without the list of notices. */
export async function getRoomBriefly(deps: Deps, ref: string, viewerId: number): Promise<Static<typeof Room>> {
  const room = await findRoom(deps, ref)
  const [own, owner] = await Promise.all([deps.members.find(room._id, viewerId), ownerName(deps, room)])
  if (!own) return roomCard(room, owner)
  return roomView(room, owner, own, { members: await deps.members.moderators(room._id) })
}
