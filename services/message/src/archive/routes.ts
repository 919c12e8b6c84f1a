import type { Handlers } from '@im/contracts'
import { archive, internalMessages } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { listLastChats } from '../inbox/list-last-chats.ts'
import { clearChats } from './clear-chats.ts'
import { deleteMessages } from './delete-messages.ts'
import { getMessage } from './get-message.ts'
import { listRoomHistory } from './list-room-history.ts'
import { listSingleHistory } from './list-single-history.ts'
import { markRead } from './mark-read.ts'
import { readMessages } from './read-messages.ts'

const handlers: Handlers<typeof archive, Deps> = {
  listLastChats: (deps, { caller, params }) => listLastChats(deps, caller, params),
  listSingleHistory: (deps, { caller, params }) => listSingleHistory(deps, caller, params),
  listRoomHistory: (deps, { caller, params }) => listRoomHistory(deps, caller, params),
  getMessage: (deps, { caller, params }) => getMessage(deps, caller.userId, params),
  deleteMessages: (deps, { caller, params }) => deleteMessages(deps, caller.userId, params),
  clearChats: (deps, { caller, params }) => clearChats(deps, caller.userId, params),
  markRead: (deps, { caller, params }) => markRead(deps, caller.userId, params.messageId),
}

const internalHandlers: Handlers<typeof internalMessages, Deps> = {
  readMessages: (deps, { params }) => readMessages(deps, params),
}

export const archiveRoutes = [...bindHandlers(archive, handlers), ...bindHandlers(internalMessages, internalHandlers)]
