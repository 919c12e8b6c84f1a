import type { Handlers } from '@im/contracts'
import { talks } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { listTalks } from './list-talks.ts'

const handlers: Handlers<typeof talks, Deps> = {
  getTalks: async (deps, { params }) => ({ talks: await listTalks(deps, params.userId, params.peers) }),
}

export const talkRoutes = bindHandlers(talks, handlers)
