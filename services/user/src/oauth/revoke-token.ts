import type { Deps } from '../deps.ts'
import { endSession } from '../sessions/end-session.ts'
import { tokenId } from '../sessions/tokens.ts'
import { revokeFamily } from './refresh-token.ts'

/** Ends what an access or refresh token stands for (RFC 7009). An unknown token is no error. */
export async function revokeToken(deps: Deps, token: string): Promise<void> {
  const { sessions, refreshTokens, now } = deps
  const id = tokenId(token)
  const session = await sessions.live(id, now())
  if (session) return endSession(deps, session)
  const refresh = await refreshTokens.find(id, now())
  if (refresh) await revokeFamily(deps, refresh)
}
