import { ContractError } from '@im/contracts'
import { checkPassword } from '../accounts/check-credentials.ts'
import type { Deps } from '../deps.ts'
import { isMd5 } from '../secrets/md5.ts'
import { tokenId } from '../sessions/tokens.ts'

/** What an XMPP stream stands for: it is closed when this session is revoked, or when the password gets another version. */
export type XmppLogin = { session: string } | { passwordVersion: number }

/**
 * Whether an XMPP login is allowed (spec xmpp.md §1): 32 hex digits, first as access token of this user, then as md5 of their
 * password, under the limits of login. Throws what login throws. Cheap on repeat: a password that was right is remembered for
 * a while, so that a restart of the XMPP server, when everyone comes back at once, costs no hashes.
 */
export async function authenticate(
  deps: Deps,
  login: { userId: number; password: string; ip: string; signal: AbortSignal },
): Promise<XmppLogin> {
  const { userId, password, ip, signal } = login
  if (!isMd5(password)) throw new ContractError('WrongPassword')
  const secret = password.toLowerCase()
  const sessionId = tokenId(secret)
  const session = await deps.sessions.live(sessionId, deps.now())
  if (session?.userId === userId) return { session: sessionId }
  const user = await deps.users.byId(userId)
  if (user?.password && user.status === 1 && deps.provenPasswords.has(userId, user.password.version, secret))
    return { passwordVersion: user.password.version }
  const guess = { candidates: user ? [user] : [], name: `xmpp:${userId}`, passwordMd5: secret, ip, signal }
  const checked = await checkPassword(deps, guess)
  const passwordVersion = checked.password?.version ?? 0
  deps.provenPasswords.remember(userId, passwordVersion, secret)
  return { passwordVersion }
}
