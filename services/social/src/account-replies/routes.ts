import type { Handlers } from '@im/contracts'
import { accountReplies } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { changeReplies, showReplies } from './change-replies.ts'

const handlers: Handlers<typeof accountReplies, Deps> = {
  showReplies: (deps, { caller }) => showReplies(deps, caller.userId),
  changeReplies: (deps, { caller, params }) => changeReplies(deps, caller.userId, params),
}

export const accountReplyRoutes = bindHandlers(accountReplies, handlers)
