import type { Handlers } from '@im/contracts'
import { internalPageSessions } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { endPageSession } from './end-page-session.ts'
import { openAccountSession } from './open-account-session.ts'

const handlers: Handlers<typeof internalPageSessions, Deps> = {
  openAccountSession: (deps, { params, signal }) => openAccountSession(deps, params, signal),
  endPageSession: (deps, { params }) => endPageSession(deps, params.sessionId),
}

export const pageSessionRoutes = bindHandlers(internalPageSessions, handlers)
