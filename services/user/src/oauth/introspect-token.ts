import type { Deps } from '../deps.ts'
import { tokenId } from '../sessions/tokens.ts'

/** What an access token stands for (RFC 7662); times in seconds. */
export async function introspectToken({ sessions, users, now }: Deps, token: string): Promise<object> {
  const session = await sessions.live(tokenId(token), now())
  const user = session && (await users.byId(session.userId))
  if (!session || user?.status !== 1) return { active: false }
  return {
    active: true,
    sub: String(user._id),
    username: user.nickname,
    exp: Math.floor(session.expiresAt.getTime() / 1000),
    iat: Math.floor(session.createdAt.getTime() / 1000),
    device: session.device,
    token_type: 'Bearer',
  }
}
