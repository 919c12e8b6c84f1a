import { ContractError, type Handlers } from '@im/contracts'
import { accountChats } from '@im/contracts/message'
import { accountFans, accountMenus, accountMessages, accountSends, accountSession } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../people/erase-user.ts'
import { listMenus } from '../public-accounts/list-menus.ts'
import { changeMenu } from './change-menu.ts'
import { deleteFan } from './delete-fan.ts'
import { listAccountFans } from './list-account-fans.ts'
import { listWriters } from './list-writers.ts'
import { logIn, logOut } from './log-in.ts'
import { sendReply } from './send-reply.ts'
import { sendArticlesToAll, sendArticleToAll, sendTextToAll } from './send-to-all.ts'
import { showHome } from './show-home.ts'

const sessionHandlers: Handlers<typeof accountSession, Deps> = {
  showLogin: () => undefined,
  logIn: (deps, { params, request }) => logIn(deps, params, request),
  logOut: (deps, { caller, request }) => logOut(deps, caller.sessionId, request),
  showHome: (deps, { caller }) => showHome(deps, caller.userId),
}

const menuHandlers: Handlers<typeof accountMenus, Deps> = {
  listOwnMenus: (deps, { caller }) => listMenus(deps, caller.userId),
  changeMenu: (deps, { caller: { userId }, params }) => keepOf(deps, userId, () => changeMenu(deps, userId, params)),
}

const fanHandlers: Handlers<typeof accountFans, Deps> = {
  listAccountFans: (deps, { caller, params }) => listAccountFans(deps, caller.userId, params),
  deleteFan: (deps, { caller, params }) => deleteFan(deps, caller.userId, params.toUserId),
}

const messageHandlers: Handlers<typeof accountMessages, Deps> = {
  listWriters: (deps, { caller, params }) => listWriters(deps, caller.userId, params),
  listChat: ({ message }, { caller: { userId }, params: { toUserId: peer, ...page }, request }) =>
    message.call(accountChats.pageChat, { userId, peer, ...page, read: request.isForgeable ? 0 : 1 }),
  async showReply({ names }, { params: { toUserId } }) {
    if (toUserId === undefined) throw new ContractError('InvalidParams', { detail: 'toUserId' })
    const name = await names.ofOne(toUserId)
    if (!name || name.gone) throw new ContractError('UserNotFound')
    return { toUserId, nickname: name.nickname }
  },
  sendReply: (deps, { caller, params }) => sendReply(deps, caller.userId, params),
}

const sendHandlers: Handlers<typeof accountSends, Deps> = {
  showArticle: () => undefined,
  showArticles: () => undefined,
  sendTextToAll: (deps, { caller, params }) => sendTextToAll(deps, caller.userId, params.title),
  sendArticleToAll: (deps, { caller, params }) => sendArticleToAll(deps, caller.userId, params),
  sendArticlesToAll: (deps, { caller, params }) => sendArticlesToAll(deps, caller.userId, params),
}

export const accountPageRoutes = [
  ...bindHandlers(accountSession, sessionHandlers),
  ...bindHandlers(accountMenus, menuHandlers),
  ...bindHandlers(accountFans, fanHandlers),
  ...bindHandlers(accountMessages, messageHandlers),
  ...bindHandlers(accountSends, sendHandlers),
]
