import { type ReplayedRow, type ReplayPage, streams } from '@im/contracts'
import type { replayedRooms } from '@im/contracts/room'
import { inTransaction } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { MemberDocument } from '../documents/member-document.ts'
import type { RoomDocument } from '../documents/room-document.ts'

type Row = ReplayedRow<typeof replayedRooms.pageRooms>

/** A page ends when it holds so many members, unless a single room has more. */
const membersAtOnce = 5000

/** Returns a page of all rooms with their members, for services that keep something of each. */
export async function pageRooms(
  { rooms, members, outbox, mongoClient }: Pick<Deps, 'rooms' | 'members' | 'outbox' | 'mongoClient'>,
  { after = '', pageSize }: { after?: string | undefined; pageSize: number },
): Promise<ReplayPage<Row>> {
  // In one transaction, so that each room is as of the last event whose number goes with it.
  return await inTransaction(mongoClient, async (session) => {
    const found = await rooms.pageAfter(after, pageSize, session)
    const page = found.slice(0, countWithin(found))
    const ids = page.map(({ _id }) => _id)
    const [inRooms, sequences] = [
      await members.ofRooms(ids, session),
      await outbox.lastSequences(streams.room.name, ids, session),
    ]
    const rows = page.map((room) => ({
      aggregate: room._id,
      sequence: sequences.get(room._id) ?? 0,
      data: rowOf(room, inRooms.get(room._id) ?? []),
    }))
    return { rows, next: page.length === pageSize || page.length < found.length ? ids.at(-1) : undefined }
  })
}

/** How many of the rooms fit on a page; one at least. */
function countWithin(rooms: readonly RoomDocument[]): number {
  let count = 0
  for (let size = 0; count < rooms.length; count++) {
    size += rooms[count]!.userSize
    if (count > 0 && size > membersAtOnce) break
  }
  return count
}

const rowOf = ({ _id: roomId, jid, name, dissolvedAt }: RoomDocument, members: readonly MemberDocument[]): Row => ({
  ...{ roomId, jid, name, dissolved: dissolvedAt !== undefined },
  members: members.map(({ userId, nickname, isNamed, offlineNoPushMsg, joinedAt }) => ({
    userId,
    ...(isNamed ? { name: nickname } : {}),
    offlineNoPushMsg,
    joinedAt: joinedAt / 1000,
  })),
})
