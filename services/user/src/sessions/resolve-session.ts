import type { Deps } from '../deps.ts'
import type { CachedSession } from './session-cache.ts'
import type { SessionDocument } from './sessions-repository.ts'

/** The live session of this id: from the copy, else from the truth, which is copied then. */
export async function resolveSession(deps: Deps, sessionId: string): Promise<CachedSession | undefined> {
  const { sessions, sessionCache, now } = deps
  const copy = await sessionCache.get(sessionId).catch(() => undefined)
  if (copy && copy.expiresAt > now()) return copy
  const session = await sessions.live(sessionId, now())
  return session && (await copySession(deps, session))
}

/**
 * Copies a session for the gateways. A revocation may fall between reading the truth and writing the copy, and would then be
 * forgotten: so the truth is read once more afterwards, and the copy taken back when the session is gone.
 */
export async function copySession(
  { sessions, sessionCache, now }: Pick<Deps, 'sessions' | 'sessionCache' | 'now'>,
  session: SessionDocument,
): Promise<CachedSession | undefined> {
  const { sessionId, userId, device } = session
  const copy = { userId, device, expiresAt: session.expiresAt.getTime() }
  await sessionCache.put(sessionId, copy, now())
  if (await sessions.live(sessionId, now())) return copy
  await sessionCache.drop([sessionId])
  return undefined
}
