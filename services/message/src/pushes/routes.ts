import type { Handlers } from '@im/contracts'
import { pushedMessages } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { pushTexts } from './push-texts.ts'
import { unconfirmed } from './unconfirmed.ts'

const handlers: Handlers<typeof pushedMessages, Deps> = {
  getPushTexts: async (deps, { params }) => ({ texts: await pushTexts(deps, params.messages) }),
  getUnconfirmed: (deps, { params }) => unconfirmed(deps, params.userIds, params.since),
  getPresent: async ({ presences }, { params }) => ({ userIds: await presences.present(params.userIds) }),
}

export const pushedMessageRoutes = bindHandlers(pushedMessages, handlers)
