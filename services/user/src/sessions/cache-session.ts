import type { Deps } from '../deps.ts'
import { type CachedSession, copyOf } from './session-cache.ts'
import type { SessionDocument } from './sessions-repository.ts'

/**
 * Copies a session for the gateways and returns the copy. A session may be revoked after it was read and before the copy is
 * written, and the copy would outlive it. So the session is read once more; when it is gone the copy is removed and undefined is
 * returned.
 *
 * It never rejects: the session is stored, whether or not it can be copied.
 */
export async function cacheSession(
  { sessions, sessionCache, now, log }: Pick<Deps, 'sessions' | 'sessionCache' | 'now' | 'log'>,
  session: SessionDocument,
): Promise<CachedSession | undefined> {
  const { sessionId, userId } = session
  const copy = copyOf(session)
  if (!(await sessionCache.put(copy, now()))) return copy
  try {
    if (await sessions.live(sessionId, now())) return copy
    await sessionCache.remove([sessionId])
    return undefined
  } catch (error) {
    log.warn({ err: error, userId }, 'a copied session could not be read again')
    await sessionCache.remove([sessionId])
    return copy
  }
}
