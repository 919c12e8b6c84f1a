import type { Handlers } from '@im/contracts'
import { internalPageSessions, internalSessions } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { endPageSession } from './end-page-session.ts'
import { openAccountSession } from './open-account-session.ts'
import { resolvePageSession } from './resolve-page-session.ts'
import { resolveSession } from './resolve-session.ts'

async function highestRole({ users }: Deps, userId: number): Promise<number> {
  const user = await users.byId(userId)
  return Math.max(0, ...(user?.role ?? []))
}

const handlers: Handlers<typeof internalSessions, Deps> = {
  async resolveSession(deps, { params }) {
    const session = await resolveSession(deps, params.sessionId)
    if (!session) {
      const ofPages = await resolvePageSession(deps, params.sessionId, params.fresh === 1)
      return ofPages ? { exists: 1, session: ofPages } : { exists: 0 }
    }
    const role = params.fresh ? await highestRole(deps, session.userId) : undefined
    return { exists: 1, session: { ...session, role } }
  },
}

const pageHandlers: Handlers<typeof internalPageSessions, Deps> = {
  openAccountSession: (deps, { params, signal }) => openAccountSession(deps, params, signal),
  endPageSession: (deps, { params }) => endPageSession(deps, params.sessionId),
}

export const sessionRoutes = [
  ...bindHandlers(internalSessions, handlers),
  ...bindHandlers(internalPageSessions, pageHandlers),
]
