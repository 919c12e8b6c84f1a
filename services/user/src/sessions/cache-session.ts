import type { Deps } from '../deps.ts'
import type { CachedSession } from './session-cache.ts'
import type { SessionDocument } from './sessions-repository.ts'

/**
 * Copies a session for the gateways; undefined when it was revoked meanwhile. A revocation may fall between reading the session
 * and writing the copy, and the copy would outlive it: so the session is read once more, and the copy removed when it is gone.
 *
 * Never fails: the session is stored, whether or not it can be copied.
 */
export async function cacheSession(
  { sessions, sessionCache, now, log }: Pick<Deps, 'sessions' | 'sessionCache' | 'now' | 'log'>,
  session: SessionDocument,
): Promise<CachedSession | undefined> {
  const { sessionId, userId, device } = session
  const copy: CachedSession = { userId, device, kind: 'user', expiresAt: session.expiresAt.getTime() }
  if (!(await sessionCache.put(sessionId, copy, now()))) return copy
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
