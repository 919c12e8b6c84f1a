import type { Room } from '@im/contracts/room'
import type { Static } from 'typebox'
import { findRoom } from '../changes/change-room.ts'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'
import { viewOf } from '../documents/visibility.ts'
import { ownerName } from './owner-names.ts'
import { roomCard, roomView } from './room-view.ts'

type View = Static<typeof Room>

/** A room with a page of its members and its notices. Others than its members get its card. */
export function getRoom(
  deps: Deps,
  ref: string,
  viewerId: number,
  { pageIndex, pageSize }: { pageIndex: number; pageSize: number },
): Promise<View> {
  return readFor(deps, ref, viewerId, async (room, own) => {
    const [members, notices] = await Promise.all([
      deps.members.page(room._id, viewOf(room, own), pageIndex * pageSize, pageSize),
      deps.notices.list(room._id),
    ])
    return { members, notices }
  })
}

/** The same with the owner and the admins alone, and without the list of notices. */
export function getRoomBriefly(deps: Deps, ref: string, viewerId: number): Promise<View> {
  return readFor(deps, ref, viewerId, async ({ _id }) => ({ members: await deps.members.moderators(_id) }))
}

async function readFor(
  deps: Deps,
  ref: string,
  viewerId: number,
  readMore: (room: RoomDocument, own: MemberDocument) => Promise<Parameters<typeof roomView>[3]>,
): Promise<View> {
  const room = await findRoom(deps, ref)
  const [own, owner] = await Promise.all([deps.members.find(room._id, viewerId), ownerName(deps, room)])
  const more = own && (await readMore(room, own))
  // Who is removed meanwhile gets nothing of what may be newer than that.
  if (!own || !(await deps.members.find(room._id, viewerId))) return roomCard(room, owner)
  return roomView(room, owner, own, more)
}
