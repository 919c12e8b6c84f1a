import type { Handlers } from '@im/contracts'
import { memberRoles, waitingRooms } from '@im/contracts/room'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { enterWaitingRoom } from './enter-waiting-room.ts'
import { leaveWaitingRoom } from './leave-waiting-room.ts'
import { waitForOthers } from './wait-for-others.ts'

const handlers: Handlers<typeof waitingRooms, Deps> = {
  async waitForOthers(deps, { caller, params: { password: digits, isQuery, ...waiting } }) {
    const { jid, name, members } = await waitForOthers(deps, caller.userId, {
      ...waiting,
      digits,
      isQuiet: isQuery === 1,
    })
    return { jid, name, members: members.map((member) => ({ ...member, role: memberRoles.member })) }
  },

  enterWaitingRoom: (deps, { caller, params }) => enterWaitingRoom(deps, caller.userId, params.jid),

  async leaveWaitingRoom(deps, { caller, params }) {
    await leaveWaitingRoom(deps, caller.userId, params.jid)
  },
}

export const waitingRoomRoutes = bindHandlers(waitingRooms, handlers)
