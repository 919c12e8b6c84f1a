import type { Handlers } from '@im/contracts'
import { accountChats, serverMessages } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { countUnread } from './count-unread.ts'
import { findNewestReceived } from './find-newest-received.ts'
import { pageChat } from './page-chat.ts'
import { sendToUsers } from './send-to-users.ts'

const sendHandlers: Handlers<typeof serverMessages, Deps> = {
  sendToUsers: (deps, { params }) => sendToUsers(deps, params),
}

const chatHandlers: Handlers<typeof accountChats, Deps> = {
  countUnread: (deps, { params }) => countUnread(deps, params.userId),
  findNewestReceived: async (deps, { params }) => ({
    messages: await findNewestReceived(deps, params.userId, params.peers),
  }),
  pageChat: (deps, { params }) => pageChat(deps, params),
}

export const accountRoutes = [
  ...bindHandlers(serverMessages, sendHandlers),
  ...bindHandlers(accountChats, chatHandlers),
]
