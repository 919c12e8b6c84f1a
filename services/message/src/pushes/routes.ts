import type { Handlers } from '@im/contracts'
import { pushedMessages } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { pushTexts } from './push-texts.ts'

const handlers: Handlers<typeof pushedMessages, Deps> = {
  getPushTexts: async (deps, { params }) => ({ texts: await pushTexts(deps, params.messages) }),
  getPresent: async ({ presences }, { params }) => ({ userIds: await presences.present(params.userIds) }),
}

export const pushedMessageRoutes = bindHandlers(pushedMessages, handlers)
