import { pageSessionSeconds } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** A session is not written at each call: only when this much (ms) of its life is gone. */
const renewedAfter = 60_000

const publicAccount = 2

/** The live session of our pages with this id. With `isUsed` its life starts again, and its user must still be a public account. */
export async function resolvePageSession(
  { pageSessions, users, now }: Pick<Deps, 'pageSessions' | 'users' | 'now'>,
  sessionId: string,
  isUsed: boolean,
) {
  const session = await pageSessions.live(sessionId, now())
  if (!session) return undefined
  const { userId, kind } = session
  let expiresAt = session.expiresAt.getTime()
  if (isUsed) {
    const user = await users.byId(userId)
    if (user?.status !== 1 || user.userType !== publicAccount) return undefined
    const renewed = now() + pageSessionSeconds * 1000
    if (renewed - expiresAt >= renewedAfter) {
      await pageSessions.renew(sessionId, renewed)
      expiresAt = renewed
    }
  }
  return { userId, device: kind, kind, expiresAt }
}
