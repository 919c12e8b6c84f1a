import { type ResultOf, streams } from '@im/contracts'
import type { internalRooms } from '@im/contracts/room'
import { inTransaction } from '@im/service-kit'
import { roomState, standingMember } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { memberId } from '../documents/member-document.ts'

type Standing = ResultOf<(typeof internalRooms)['getStandings']>['standings'][number]

/** What users are in rooms, for many pairs with few questions. */
export async function getStandings(
  { rooms, members, outbox, mongoClient }: Pick<Deps, 'rooms' | 'members' | 'outbox' | 'mongoClient'>,
  pairs: readonly { jid: string; userId: number }[],
): Promise<Standing[]> {
  // In one transaction, so that rooms and members are as of the last event whose number goes with them.
  return await inTransaction(mongoClient, async (session) => {
    const found = await rooms.byJids([...new Set(pairs.map(({ jid }) => jid))], session)
    const inRooms = pairs.flatMap(({ jid, userId }) => {
      const room = found.get(jid)
      return room && !room.dissolvedAt ? [{ roomId: room._id, userId }] : []
    })
    const own = new Map((await members.findPairs(inRooms, session)).map((member) => [member._id, member]))
    const ids = [...found.values()].map(({ _id }) => _id)
    const sequences = await outbox.lastSequences(streams.room.name, ids, session)
    const told = new Set<string>()
    return pairs.map(({ jid, userId }): Standing => {
      const room = found.get(jid)
      if (!room) return { state: 'unknown', sequence: 0 }
      const sequence = sequences.get(room._id) ?? 0
      if (room.dissolvedAt) return { state: 'dissolved', sequence }
      const member = own.get(memberId(room._id, userId))
      const isTold = told.has(jid)
      told.add(jid)
      const standing = { state: 'live' as const, sequence, member: member && standingMember(member) }
      return isTold ? standing : { ...standing, room: roomState(room) }
    })
  })
}
