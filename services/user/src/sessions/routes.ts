import type { Handlers } from '@im/contracts'
import { internalSessions } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
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

export const sessionRoutes = bindHandlers(internalSessions, handlers)
