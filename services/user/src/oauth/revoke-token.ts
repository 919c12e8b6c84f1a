import type { Deps } from '../deps.ts'
import { endSession } from '../sessions/end-session.ts'
import { familyOf, tokenId } from '../sessions/tokens.ts'
import { revokeFamily } from './refresh-token.ts'

/** Ends what an access or refresh token stands for (RFC 7009). An unknown token is no error. */
export async function revokeToken(deps: Deps, token: string): Promise<void> {
  const { sessions, now } = deps
  const session = await sessions.live(tokenId(token), now())
  if (session) return endSession(deps, session)
  const continued = await sessions.ofFamily(familyOf(token))
  if (continued) await revokeFamily(deps, continued)
}
