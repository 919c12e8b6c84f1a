import type { Handlers } from '@im/contracts'
import { accountReplies } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../people/erase-user.ts'
import { changeReplies, showReplies } from './change-replies.ts'

const handlers: Handlers<typeof accountReplies, Deps> = {
  showReplies: (deps, { caller }) => showReplies(deps, caller.userId),
  changeReplies: (deps, { caller: { userId }, params }) =>
    keepOf(deps, userId, () => changeReplies(deps, userId, params)),
}

export const accountReplyRoutes = bindHandlers(accountReplies, handlers)
