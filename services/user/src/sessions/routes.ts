import type { Handlers } from '@im/contracts'
import { internalSessions } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { resolveSession } from './resolve-session.ts'

const handlers: Handlers<typeof internalSessions, Deps> = {
  async resolveSession(deps, { params }) {
    const session = await resolveSession(deps, params.sessionId)
    return session ? { exists: 1, session } : { exists: 0 }
  },
}

export const sessionRoutes = bindHandlers(internalSessions, handlers)
