import { defaultsOf, type Handlers } from '@im/contracts'
import { roomFields, rooms } from '@im/contracts/room'
import { bindHandlers } from '@im/service-kit'
import { dissolveRoom } from '../changes/dissolve-room.ts'
import { findOwn } from '../changes/find-own.ts'
import type { Deps } from '../deps.ts'
import { addRoom, type MadeRoom } from './add-room.ts'
import { copyRoom } from './copy-room.ts'
import { getRoom, getRoomBriefly } from './get-room.ts'
import { listOwnRooms, listRooms } from './list-rooms.ts'
import { ownerName } from './owner-names.ts'
import { roomView } from './room-view.ts'
import { transferRoom } from './transfer-room.ts'
import { givenSwitches, updateRoom } from './update-room.ts'

async function viewOfMade(deps: Deps, { room, own }: MadeRoom) {
  return roomView(room, await ownerName(deps, room), own)
}

const handlers: Handlers<typeof rooms, Deps> = {
  async addRoom(deps, { caller, params }) {
    const wanted = { ...defaultsOf(roomFields), ...params.room, invited: params.text ?? [] }
    return viewOfMade(deps, await addRoom(deps, caller.userId, wanted))
  },

  async copyRoom(deps, { caller, params }) {
    const view = await viewOfMade(deps, await copyRoom(deps, params.roomId, caller.userId))
    // The document's sample counts nobody yet.
    return { ...view, userSize: 0 }
  },

  async dissolveRoom(deps, { caller, params }) {
    await dissolveRoom(deps, params.roomId, caller.userId)
  },

  async updateRoom(deps, { caller, params }) {
    const { roomId, roomName: name, notice, desc, subject, category, tags } = params
    const { talkTime = unchangedTime, chatRecordTimeOut = 0, maxUserSize = 0 } = params
    await updateRoom(deps, roomId, caller.userId, {
      fields: {
        ...{ name, desc, subject, category, tags },
        ...givenSwitches(params),
        ...(chatRecordTimeOut === 0 ? {} : { chatRecordTimeOut }),
      },
      talkTime: talkTime === unchangedTime ? undefined : talkTime,
      maxUserSize: maxUserSize > 0 ? maxUserSize : undefined,
      notice: notice || undefined,
    })
  },

  async transferRoom(deps, { caller, params }) {
    return viewOfMade(deps, await transferRoom(deps, params.roomId, caller.userId, params.toUserId))
  },

  getRoom: (deps, { caller, params }) => getRoom(deps, params.roomId, caller.userId, params),

  getRoomBriefly: (deps, { caller, params }) => getRoomBriefly(deps, params.roomId, caller.userId),

  listRooms: (deps, { caller, params }) => listRooms(deps, caller.userId, params),

  listOwnRooms: (deps, { caller, params }) => listOwnRooms(deps, caller.userId, params),

  async getCall(deps, { caller, params }) {
    const { room } = await findOwn(deps, params.roomId, caller.userId)
    return { call: room.call }
  },
}

/** As apps send it where they change something else. */
const unchangedTime = -2

export const roomRoutes = bindHandlers(rooms, handlers)
