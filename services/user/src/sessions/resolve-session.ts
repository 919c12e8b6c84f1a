import type { Deps } from '../deps.ts'
import { cacheSession } from './cache-session.ts'
import type { CachedSession } from './session-cache.ts'

/** Reads the live session with this id and copies it for the gateways, which look at the copies first. */
export async function resolveSession(deps: Deps, sessionId: string): Promise<CachedSession | undefined> {
  const session = await deps.sessions.live(sessionId, deps.now())
  return session && (await cacheSession(deps, session))
}
