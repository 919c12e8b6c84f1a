import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { cacheSession } from '../sessions/cache-session.ts'
import type { SessionDocument } from '../sessions/sessions-repository.ts'
import { accessSeconds, tokenId } from '../sessions/tokens.ts'
import type { UserDocument } from '../users/user-document.ts'

export type SerialStatus = 1 | 2 | 3

export interface AutoLogin {
  user: UserDocument
  serialStatus: SerialStatus
  /** Whether the token lives. Its lifetime starts again then. */
  tokenExists: boolean
}

const compareSerials = (given: string, known: string): SerialStatus => (given === known ? 2 : 3)

/** Continues a session (spec 02-user.md, login/auto). For a dead token and a known userId it tells the app to log in. */
export async function autoLogIn(
  deps: Deps,
  request: { token: string | undefined; userId?: number; serial: string; ip: string },
): Promise<AutoLogin> {
  const { sessions, users, now } = deps
  const { token, userId, serial, ip } = request
  if (!token) throw new ContractError('TokenMissing')
  // Apps name their user, so nothing waits for the session to be told who that is.
  const [session, named] = await Promise.all([
    sessions.live(tokenId(token), now()),
    userId === undefined ? undefined : users.byId(userId),
  ])
  if (!session) return answerWithoutSession(deps, named, { serial, ip })
  if (userId !== undefined && userId !== session.userId) throw new ContractError('TokenInvalid')
  const user = named ?? (await users.byId(session.userId))
  if (!user) throw new ContractError('TokenInvalid')
  if (user.status !== 1) throw new ContractError('AccountLocked')
  await renewSession(deps, session, serial)
  const serialStatus = serial ? compareSerials(serial, session.serial || serial) : 1
  return { user, serialStatus, tokenExists: true }
}

async function renewSession(deps: Deps, session: SessionDocument, serial: string): Promise<void> {
  const at = deps.now()
  const newSerial = session.serial ? undefined : serial
  const renewed = await deps.sessions.renew(session.sessionId, at, at + accessSeconds * 1000, newSerial)
  if (!renewed || !(await cacheSession(deps, renewed))) throw new ContractError('TokenInvalid')
}

async function answerWithoutSession(
  { rateCounters }: Deps,
  user: UserDocument | undefined,
  { serial, ip }: { serial: string; ip: string },
): Promise<AutoLogin> {
  await rateCounters.demand('RateLimited', { key: `auto-login-ip:${limitAddress(ip)}`, max: 30, seconds: 60 })
  if (!user?.password) throw new ContractError('TokenInvalid')
  if (user.status !== 1) throw new ContractError('AccountLocked')
  const known = user.lastLogin?.serial
  return { user, serialStatus: serial && known ? compareSerials(serial, known) : 1, tokenExists: false }
}
