import { hash } from 'node:crypto'
import { asksEachTime, type Caller, ContractError } from '@im/contracts'
import type { ServerConfig } from '@im/contracts/user'
import { authorise, csrfField, csrfHeader, type FollowedValue, firstText, longestBody } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { SessionState } from '../sessions/session-cache.ts'
import { findToken, tokenOfQuery } from './access-token.ts'
import type { IncomingCall } from './incoming-call.ts'
import { declaredLength } from './read-body.ts'
import { checkSignature } from './signature.ts'

/** Tokens are 32 hex digits. A far longer text is not a token, and is not looked up. */
const longestToken = 256
/** A longer body (bytes) is counted before it is read for its token: as one more call for each time it has so many. */
const shortBody = 16 * 1024

/**
 * Makes the checks of transport.md §6 that come before the endpoint's own: size, token, signature, rate limit. What the head
 * shows is checked before the body is read. Streamed bodies are not read here.
 */
export async function admitCall(deps: Deps, call: IncomingCall): Promise<void> {
  const { endpoint } = call
  if ((declaredLength(call.request.raw) ?? 0) > longestBody(endpoint))
    throw new ContractError('RequestTooLarge', { detail: 'body' })
  if (endpoint.auth !== 'none') await identify(deps, call)
  if (deps.serverConfig && endpoint.signature === undefined) await checkSignatureOf(deps, deps.serverConfig, call)
  const counting = deps.limits.count(call)
  if (counting) await counting
  if (call.hasUnreadBody) await readBody(deps, call)
}

async function readBody({ bodyMemory }: Deps, call: IncomingCall): Promise<void> {
  if (call.endpoint.body !== 'stream') await call.readBody(longestBody(call.endpoint), bodyMemory)
}

/** Finds the token and its owner, and checks that the owner may call the endpoint. Calls without a live token are counted. */
async function identify(deps: Deps, call: IncomingCall): Promise<void> {
  const { limits } = deps
  call.token = tokenOfQuery(call)
  const counted = call.token ? 0 : await countLongBody(deps, call)
  if (!call.token) {
    await readBody(deps, call)
    call.token = await findToken(call)
  }
  const owner = call.token && (await findOwner(deps, call, call.token.text))
  if (owner) limits.giveBack(call.address, counted)
  try {
    call.caller = await authoriseCall(call, owner)
  } catch (refusal) {
    await countRefused(deps, call, owner)
    throw refusal
  }
}

/** Counts a call that is refused before `CallLimits.count` sees it: for its caller, or else for its address. */
const countRefused = ({ limits }: Deps, { address }: IncomingCall, caller: Caller | undefined) =>
  caller ? limits.count({ address, caller }) : limits.countRefusal(address, 1)

/** Counts a long body as a refused call before it is read. The count is given back when its token turns out to be live. */
async function countLongBody({ limits }: Deps, call: IncomingCall): Promise<number> {
  if (!call.hasUnreadBody || call.endpoint.body === 'stream') return 0
  const bytes = declaredLength(call.request.raw) ?? longestBody(call.endpoint)
  if (bytes <= shortBody) return 0
  const calls = Math.floor(bytes / shortBody)
  await limits.countRefusal(call.address, calls)
  return calls
}

async function authoriseCall(call: IncomingCall, owner: Caller | undefined): Promise<Caller | undefined> {
  const { endpoint, request, token, isInternal } = call
  const ofHeader = request.headers[csrfHeader]?.toString()
  const csrfToken = token?.byCookie ? (ofHeader ?? firstText(await call.params(), csrfField)) : undefined
  const { text, byCookie } = token ?? {}
  return authorise(endpoint, { caller: owner, token: text, byCookie, isInternal, method: request.method, csrfToken })
}

async function findOwner(deps: Deps, call: IncomingCall, token: string): Promise<Caller | undefined> {
  if (token.length > longestToken) return undefined
  const sessionId = hash('sha256', token)
  const session = await findSession(deps, call, sessionId)
  if (session === 'ended') return undefined
  deps.seenAddresses.note(session, sessionId, call.ip, call.startedAt)
  const { userId, device, kind, role } = session
  return role === undefined ? { userId, sessionId, device, kind } : { userId, sessionId, device, kind, role }
}

async function findSession(deps: Deps, call: IncomingCall, sessionId: string): Promise<SessionState> {
  const { sessions, limits } = deps
  const known = sessions.known(sessionId)
  const asks = asksEachTime(call.endpoint.auth)
  if (known === 'ended' || (known && !asks)) return known
  // At the limit only sessions with a copy in Redis are read. So a mass of dead tokens costs the user service nothing, while
  // users who share the address of an attacker can go on.
  if (!known && limits.isReached(call.address) && !(await sessions.hasCopy(sessionId)))
    limits.refuseIfReached(call.address)
  return asks ? sessions.readWithRole(sessionId) : sessions.read(sessionId)
}

async function checkSignatureOf(
  deps: Deps,
  serverConfig: FollowedValue<ServerConfig>,
  call: IncomingCall,
): Promise<void> {
  const { isAuthApi } = await serverConfig.get()
  if (isAuthApi !== 1) return
  const { caller, token } = call
  if (!caller) await countLongBody(deps, call)
  try {
    await readBody(deps, call)
    const signer = caller && token ? { userId: caller.userId, token: token.text } : undefined
    checkSignature(deps.config.apiKey ?? '', await call.params(), signer, deps.now() / 1000)
  } catch (refusal) {
    await countRefused(deps, call, caller)
    throw refusal
  }
}
