import { ContractError, type Handlers } from '@im/contracts'
import { roomMembers } from '@im/contracts/room'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { setAdmin, setHiddenRole } from './change-role.ts'
import { inviteMembers } from './invite-members.ts'
import { joinRoom } from './join-room.ts'
import { getMember, listMembers, pageMembers } from './list-members.ts'
import { removeMember } from './remove-member.ts'
import { updateMember } from './update-member.ts'

const handlers: Handlers<typeof roomMembers, Deps> = {
  async updateMember(deps, { caller, params: { roomId, text, menber } }) {
    if (text?.length) return await inviteMembers(deps, roomId, caller.userId, text)
    const { userId = caller.userId, role, ...wanted } = menber ?? {}
    if (role !== undefined) throw new ContractError('InvalidParams', { detail: 'role: it has an endpoint of its own' })
    await updateMember(deps, roomId, caller.userId, userId, wanted)
  },

  async removeMember(deps, { caller, params }) {
    await removeMember(deps, params.roomId, caller.userId, params.userId)
  },

  async leaveRoom(deps, { caller, params }) {
    await removeMember(deps, params.roomId, caller.userId, caller.userId)
  },

  async joinRoom(deps, { caller, params }) {
    await joinRoom(deps, params.roomId, caller.userId)
  },

  getMember: (deps, { caller, params }) =>
    getMember(deps, params.roomId, caller.userId, params.userId || caller.userId),

  listMembers: (deps, { caller, params }) => listMembers(deps, params.roomId, caller.userId, params.keyword),

  pageMembers: (deps, { caller, params }) => pageMembers(deps, params.roomId, caller.userId, params),

  async setOwnSwitch(deps, { caller, params: { roomId, type, offlineNoPushMsg: value } }) {
    const wanted = type === 1 ? { isOpenTopChat: value } : { offlineNoPushMsg: value }
    await updateMember(deps, roomId, caller.userId, caller.userId, wanted)
  },

  async setAdmin(deps, { caller, params }) {
    await setAdmin(deps, params.roomId, caller.userId, params.touserId, params.type === 2)
  },

  async setHiddenRole(deps, { caller, params }) {
    await setHiddenRole(deps, params.roomId, caller.userId, params.touserId, params.type)
  },
}

export const memberRoutes = bindHandlers(roomMembers, handlers)
