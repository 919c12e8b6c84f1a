import { hash } from 'node:crypto'
import { type Caller, ContractError, type RequestInfo } from '@im/contracts'
import { internalSessions } from '@im/contracts/user'
import type { Deps } from '../deps.ts'

/** Tokens are 32 hex digits. A far longer text is not a token, and is not looked up. */
const longestToken = 256

type SessionDeps = Pick<Deps, 'user'>

/** The user of a live session of an app. Throws TokenInvalid, or PermissionDenied for the console's and public accounts'. */
export async function userOfToken({ user }: SessionDeps, token: string): Promise<number> {
  const session = token.length <= longestToken ? await readSession(user, hash('sha256', token)) : undefined
  if (!session) throw new ContractError('TokenInvalid')
  if (session.kind !== 'user') throw new ContractError('PermissionDenied')
  return session.userId
}

/** The user by the query and the headers of a call; undefined when these show no token. */
export async function userOfCall(
  deps: SessionDeps,
  caller: Caller | undefined,
  { accessToken }: RequestInfo,
): Promise<number | undefined> {
  if (caller) return caller.userId
  return accessToken ? await userOfToken(deps, accessToken) : undefined
}

/** Whether a live session of the user made a call from this address in the last ten minutes, as gateways noted. */
export async function isAtAddress(
  { user, optionalRedis }: SessionDeps & Pick<Deps, 'optionalRedis'>,
  userId: number,
  ip: string,
): Promise<boolean> {
  const sessionId = await optionalRedis.ask((redis) => redis.get(seenKey(userId, ip)))
  if (!sessionId) return false
  const session = await readSession(user, sessionId)
  return session?.kind === 'user' && session.userId === userId
}

/** The gateway writes it, for ten minutes: the session by which a user called from an address. */
const seenKey = (userId: number, ip: string) => `seen:${userId}:${ip}`

async function readSession(user: Deps['user'], sessionId: string) {
  return (await user.call(internalSessions.resolveSession, { sessionId, fresh: 0 })).session
}
