import { hash } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import { type Caller, ContractError, type Endpoint, type Language } from '@im/contracts'
import { clock } from '@im/contracts/gateway'
import {
  asContractError,
  callerHeader,
  compileWriter,
  firstText,
  isOneOf,
  jsonType,
  languageOf,
  limitAddress,
  queryLanguage,
  type RouteConfig,
  readRequest,
  sendError,
  serviceKeyHeader,
  signCaller,
} from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { findAccessToken } from './access-token.ts'
import { corsHeaders, hasCors } from './cors.ts'
import type { Deps } from './deps.ts'
import type { Upstream } from './forward.ts'
import { type Finding, noSession } from './session-cache.ts'
import { checkSignature, isSigned } from './signature.ts'

/** Tokens are 32 hex digits; what is far longer is none, and not worth a lookup. */
const longestToken = 256

/** Headers that reach a service. All others, `x-im-*` above all, end here. */
const passedHeaders = [
  'accept',
  'accept-language',
  'authorization',
  'content-type',
  'cookie',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'origin',
  'range',
  'referer',
  'user-agent',
  'x-csrf-token',
  'x-requested-with',
]

export function addRoutes(app: FastifyInstance, deps: Deps): void {
  for (const [path, endpoint] of deps.table) {
    const owner = endpoint.service === 'gateway' ? undefined : deps.owners.get(endpoint.service)
    const answer = owner ? forwarding(deps, path, endpoint, owner) : ownEndpoint(deps, endpoint)
    app.route({
      url: path,
      method: [...(endpoint.methods ?? ['GET', 'POST'])],
      config: { answer: endpoint.answer } satisfies RouteConfig,
      handler: (request, reply) => {
        answer(request, reply).catch((error) => refuse(deps, request, reply, error, endpoint.answer))
      },
    })
  }
}

type Answer = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

function forwarding(deps: Deps, path: string, endpoint: Endpoint, owner: Upstream): Answer {
  const { config } = deps
  const admit = admission(deps, endpoint)
  const outcome = deps.answered.labels(endpoint.service)
  const cors = hasCors(path) ? corsHeaders : {}

  return async (request, reply) => {
    const startedAt = performance.now()
    const ip = deps.addressOf(request.raw)
    const caller = await admit(request, ip)
    const method = request.method as 'GET' | 'POST'
    const target = request.raw.url ?? ''
    const query = target.indexOf('?')
    const url = query < 0 ? path : path + target.slice(query)
    const claims = { caller, ip, requestId: request.id, proto: 'http', host: request.headers.host ?? '' } as const
    const headers: Record<string, string> = {
      [callerHeader]: signCaller(config.callerKeys, caller ? { ...claims, caller } : claims, { method, url }),
      'x-request-id': request.id,
    }
    for (const name of passedHeaders) {
      const value = request.headers[name]
      if (typeof value === 'string') headers[name] = value
    }
    const key = request.headers[serviceKeyHeader]
    if (typeof key === 'string' && isOneOf(config.serviceKeys, key)) headers[serviceKeyHeader] = key
    const answerHeaders: OutgoingHttpHeaders = { ...cors, 'x-request-id': request.id }
    await owner.forward(
      {
        method,
        path: url,
        headers,
        body: Buffer.isBuffer(request.body) ? request.body : undefined,
      },
      reply.raw,
      answerHeaders,
    )
    outcome.observe((performance.now() - startedAt) / 1000)
  }
}

/** Checks of transport.md §6 that come before the endpoint's own: token, signature, rate limit. Gives the caller, if any. */
function admission(
  deps: Deps,
  endpoint: Endpoint,
): (request: FastifyRequest, ip: string) => Promise<Caller | undefined> {
  const { config, limits, now } = deps
  const apiKey = config.requireSignature && isSigned(endpoint) ? config.apiKey : undefined

  return async (request, ip) => {
    const address = limitAddress(ip)
    let token: string | undefined
    let caller: Caller | undefined
    if (endpoint.auth === 'user' || endpoint.auth === 'optional') {
      token = await findAccessToken(request)
      const found = token ? await findCaller(deps, token, address) : undefined
      if (found) caller = found
      else if (endpoint.auth === 'user') throw new ContractError(token ? 'TokenInvalid' : 'TokenMissing')
    }
    if (apiKey) {
      const signer = caller && token ? { userId: caller.userId, token } : undefined
      checkSignature(apiKey, await readRequest(request), signer, now() / 1000)
    }
    const waiting = limits.spend(endpoint, { ip: address, userId: caller?.userId, sessionId: caller?.sessionId })
    if (waiting) await waiting
    return caller
  }
}

async function findCaller({ sessions, limits }: Deps, token: string, address: string): Promise<Caller | undefined> {
  if (token.length > longestToken) return undefined
  const sessionId = hash('sha256', token)
  let found: Finding | undefined = sessions.remembered(sessionId)
  if (found === undefined) {
    limits.refuseWhenEmpty(address)
    found = await sessions.lookUp(sessionId)
    if (found === noSession) await limits.spendGuess(address)
  }
  return found === noSession ? undefined : { userId: found.userId, sessionId, device: found.device, kind: 'user' }
}

/** Endpoints the gateway answers itself. */
function ownEndpoint(deps: Deps, endpoint: Endpoint): Answer {
  if (endpoint.path !== clock.getCurrentTime.path) throw new Error(`the gateway has no handler for ${endpoint.path}`)
  const admit = admission(deps, endpoint)
  const write = compileWriter(endpoint)
  return async (request, reply) => {
    await admit(request, deps.addressOf(request.raw))
    reply.header('content-type', jsonType).header('x-request-id', request.id)
    reply.send(write(deps.now()))
  }
}

async function refuse(
  deps: Deps,
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
  form: Endpoint['answer'],
): Promise<void> {
  const failure = asContractError(error, request.id, deps.log, request.routeOptions.url)
  deps.refused.inc({ error: failure.errorName })
  sendError(reply, failure, await languageOfRequest(request), form)
}

async function languageOfRequest(request: FastifyRequest): Promise<Language> {
  try {
    return languageOf(firstText(await readRequest(request), 'language'))
  } catch {
    return queryLanguage(request.raw.url ?? '')
  }
}
