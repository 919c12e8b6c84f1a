import type { Handlers } from '@im/contracts'
import { internalMemberships, internalRooms, replayedRooms } from '@im/contracts/room'
import { bindHandlers } from '@im/service-kit'
import { memberState, roomState, standingMember } from '../changes/room-states.ts'
import type { Deps } from '../deps.ts'
import { lockRoom } from '../rooms/lock-room.ts'
import { getStandings } from './get-standings.ts'
import { pageRooms } from './page-rooms.ts'

const roomHandlers: Handlers<typeof internalRooms, Deps> = {
  getStandings: async (deps, { params }) => ({ standings: await getStandings(deps, params.pairs) }),

  async listRoomsOf({ rooms, members }, { params }) {
    const own = await members.everywhere(params.userId)
    const found = await rooms.byIds(own.map(({ roomId }) => roomId))
    return {
      rooms: own.flatMap((member) => {
        const room = found.get(member.roomId)
        return room && !room.dissolvedAt ? [{ room: roomState(room), member: standingMember(member) }] : []
      }),
    }
  },

  findSharedFiles: async ({ shares }, { params }) => ({ names: await shares.sharedOf(params.names) }),

  async pageMembers({ rooms, members }, { params: { roomId, after = 0, pageSize } }) {
    const room = await rooms.find(roomId)
    if (!room) return { members: [] }
    const page = await members.pageById(room._id, after, pageSize)
    return { members: page.map(memberState), next: page.length === pageSize ? page.at(-1)?.userId : undefined }
  },
}

const membershipHandlers: Handlers<typeof internalMemberships, Deps> = {
  async getMembership({ rooms, members }, { params }) {
    const room = await rooms.find(params.room)
    if (!room || room.dissolvedAt) return { exists: 0, roomId: '', jid: '', role: 0, allowSpeakCourse: 0, locked: 0 }
    const { _id: roomId, jid, allowSpeakCourse } = room
    const own = await members.find(roomId, params.userId)
    return { exists: 1, roomId, jid, role: own?.role ?? 0, allowSpeakCourse, locked: room.s === -1 ? 1 : 0 }
  },

  async setRoomLocked(deps, { params }) {
    await lockRoom(deps, params.room, params.locked === 1)
  },
}

const replayHandlers: Handlers<typeof replayedRooms, Deps> = {
  pageRooms: (deps, { params }) => pageRooms(deps, params),
}

export const internalRoutes = [
  ...bindHandlers(replayedRooms, replayHandlers),
  ...bindHandlers(internalRooms, roomHandlers),
  ...bindHandlers(internalMemberships, membershipHandlers),
]
