import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import { checkPassword } from '../accounts/check-credentials.ts'
import type { Deps } from '../deps.ts'
import { isMd5 } from '../secrets/md5.ts'
import { tokenId } from '../sessions/tokens.ts'

/**
 * What an XMPP stream was opened with. The stream is closed when the session, or the login that refresh tokens continue, is revoked
 * or the password gets a new version.
 */
export type XmppLogin = { session: string } | { passwordVersion: number }

/**
 * Checks an XMPP login (spec xmpp.md §1): 32 hex digits are tried as an access token of this user, then as the md5 of their
 * password. Limits and errors are those of login. A right password is remembered for a while at its address, so a restart of the XMPP
 * server, after which everybody logs in again, costs no hashes.
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
  if (session?.userId === userId) return { session: session.refresh?.family ?? sessionId }
  const user = await deps.users.byId(userId)
  const tried = { userId, passwordMd5: secret, address: limitAddress(ip) }
  if (user?.password && user.status === 1 && deps.provenPasswords.confirm({ ...tried, version: user.password.version }))
    return { passwordVersion: user.password.version }
  const guess = { candidates: user ? [user] : [], name: `xmpp:${userId}`, passwordMd5: secret, ip, signal }
  const checked = await checkPassword(deps, guess)
  const passwordVersion = checked.password?.version ?? 0
  deps.provenPasswords.remember({ ...tried, version: passwordVersion })
  return { passwordVersion }
}
