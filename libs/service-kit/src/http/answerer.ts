import type { IncomingMessage } from 'node:http'
import {
  type Call,
  type Caller,
  ContractError,
  type Endpoint,
  errorNames,
  type Language,
  OAuthError,
  RawAnswer,
  Reply,
  type ReplyOptions,
  type RequestInfo,
} from '@im/contracts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { endedSessions, setCaller, setLifetime, withRequestId } from '../current-call.ts'
import { EndpointLimits } from '../limits/endpoint-limits.ts'
import { endOfCall, SpanKind, type Tracing, traceHeader } from '../tracing.ts'
import { sendError, sendHeaders, sendRaw } from './answers.ts'
import { auditedCall } from './audited-call.ts'
import { authorise, isForgeable } from './authorise.ts'
import { longestBody } from './body-limit.ts'
import {
  type CallerClaims,
  callerHeader,
  endedSessionsHeader,
  outcomeHeader,
  readCaller,
  serviceKeyHeader,
  timeoutHeader,
} from './caller.ts'
import { csrfField, csrfHeader } from './csrf.ts'
import { compileDecoder, selfParams } from './decode/compile-decoder.ts'
import { dropRest } from './drop-rest.ts'
import type { AnswerTimer, BoundHandler, ServiceAppOptions } from './edge.ts'
import { compileWriter, jsonType } from './envelope.ts'
import { asContractError } from './failures.ts'
import { languageOf, queryLanguage } from './language.ts'
import { defaultTimeoutMs, Lifetime } from './lifetime.ts'
import { firstText, type RawParams } from './raw-params.ts'
import { accessTokenOf, readRequest } from './request.ts'
import { isOneOf } from './secrets.ts'

/** What the headers say about the caller. */
interface Identity {
  claims: CallerClaims | undefined
  isInternal: boolean
}

/** Answers the calls of one endpoint. The checks have the order of transport.md §6. */
export function createAnswerer<Deps>(
  { endpoint, handler }: BoundHandler<Deps>,
  options: ServiceAppOptions<Deps>,
  timing: AnswerTimer,
) {
  const { config, deps, log, tracing } = options
  const decode = compileDecoder(endpoint)
  const write = compileWriter(endpoint)
  const ownIds = selfParams(endpoint)
  const declared = new Set<string>(errorNames(endpoint))
  const limits = options.limits && endpoint.limits?.length ? new EndpointLimits(endpoint, options.limits) : undefined
  const audited = auditedCall(endpoint, options.audit)

  return function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startedAt = performance.now()
    const outcomeOf = () => withRequestId(request.id, () => answerCall(request, reply))
    return (tracing ? traced(request, tracing, outcomeOf) : outcomeOf()).then((outcome) => {
      timing(endpoint, outcome, startedAt)
      return reply
    })
  }

  /** Goes on with the trace of the gateway, or of the service that calls. */
  function traced({ method, headers }: FastifyRequest, tracing: Tracing, work: () => Promise<string>): Promise<string> {
    const parent = headers[traceHeader]?.toString()
    return tracing.span(`${method} ${endpoint.path}`, { kind: SpanKind.SERVER, parent }, async (span) => {
      const outcome = await work()
      endOfCall(span, outcome)
      return outcome
    })
  }

  /** Returns the name of the outcome. */
  async function answerCall(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const reading: { language: Language } = { language: queryLanguage(request.raw.url ?? '') }
    let outcome = 'Success'
    try {
      await send(request, reply, reading)
    } catch (error) {
      const failure = failureOf(error, request)
      outcome = failure instanceof OAuthError ? failure.error : failure.errorName
      setOutcome(reply, outcome)
      sendError(reply, failure, reading.language, endpoint.answer)
    }
    if (endpoint.body === 'stream') dropRest(request.raw)
    return outcome
  }

  /** Sets `reading.language` as soon as the parameters are read, so that errors have the caller's language. */
  async function send(request: FastifyRequest, reply: FastifyReply, reading: { language: Language }): Promise<void> {
    const identity = identify(request)
    reply.header('x-request-id', request.id)
    const read = await readRequest(request, endpoint.body).catch((error: unknown) => ({ error }))
    if (read instanceof Map) reading.language = languageOf(firstText(read, 'language'))
    const credentials = credentialsOf(request, identity, read instanceof Map ? read : new Map())
    const caller = authorise(endpoint, credentials)
    // Only now, so that callers without access get the error about access whatever they sent.
    if (!(read instanceof Map)) throw read.error

    // After a long wait the call would be told to try again anyway.
    if (options.isOverloaded?.()) throw new ContractError('ServiceUnavailable')
    const limited = identity.isInternal ? undefined : limits?.begin()
    const lifetime = new Lifetime(reply.raw, timeoutOf(request, identity))
    setLifetime(lifetime)
    setCaller(caller?.userId)
    try {
      const counted = { ip: identity.claims?.ip ?? request.ip, caller }
      await limited?.count(counted)
      const params = decode(read)
      refuseForeignIds(params, caller)
      await limited?.count({ ...counted, params })
      const info = requestInfo(request, read, reading.language, identity, isForgeable(credentials))
      const call = createCall({ params, caller, request: info, lifetime, body: bodyOf(request) })
      if (lifetime.isOver) throw new ContractError('ServiceUnavailable')
      const result = await audited(call, () => handler(deps, call))
      await limited?.end(undefined)
      sendResult(reply, result, reading.language)
    } catch (error) {
      await limited?.end(error)
      // A handler that stops because nobody waits for the answer is no fault.
      if (lifetime.isOver && isAbort(error)) throw new ContractError('ServiceUnavailable', { cause: error })
      throw error
    } finally {
      setLifetime(undefined)
      lifetime.end()
    }
  }

  function identify(request: FastifyRequest): Identity {
    const { method, url = '' } = request.raw
    const header = request.headers[callerHeader]
    const claims = readCaller(config.callerKeys, header?.toString(), { method: method ?? '', url })
    if (claims) request.id = claims.requestId
    return { claims, isInternal: isOneOf(config.serviceKeys, request.headers[serviceKeyHeader]) }
  }

  function timeoutOf(request: FastifyRequest, { claims, isInternal }: Identity): number {
    const given = claims || isInternal ? Number(request.headers[timeoutHeader]) : Number.NaN
    return given > 0 ? given : (endpoint.timeoutMs ?? defaultTimeoutMs)
  }

  function refuseForeignIds(params: Record<string, unknown>, caller: Caller | undefined): void {
    for (const name of ownIds)
      if (params[name] !== undefined && params[name] !== caller?.userId)
        throw new ContractError('PermissionDenied', { detail: name })
  }

  function bodyOf(request: FastifyRequest): Call['body'] | Uint8Array | AsyncIterable<Uint8Array> {
    if (endpoint.body === 'raw') return Buffer.isBuffer(request.body) ? request.body : new Uint8Array()
    if (endpoint.body === 'stream') return bodyWhileItArrives(request.raw, longestBody(endpoint))
    return undefined
  }

  function sendResult(reply: FastifyReply, result: unknown, language: Language): void {
    const { data, more } = result instanceof Reply ? result : { data: result, more: {} as ReplyOptions }
    setOutcome(reply, 'Success')
    sendHeaders(reply, more.headers)
    if (data instanceof RawAnswer) sendRaw(reply, data)
    else {
      const text = (more.text ?? endpoint.successText)?.[language]
      reply.header('content-type', jsonType).send(write(data, text, more.members))
    }
  }

  /** Logs an error that the contract does not declare: it is a bug, because documents and clients do not know it. */
  function failureOf(error: unknown, { id }: FastifyRequest): ContractError | OAuthError {
    if (error instanceof OAuthError) return error
    const failure = asContractError(error, id, log, endpoint.path)
    const { errorName, cause } = failure
    // The other service can't log that it did not answer.
    if (errorName === 'ServiceUnavailable' && cause)
      log.warn({ err: cause, path: endpoint.path }, 'another service was needed and did not answer')
    if (declared.has(failure.errorName)) return failure
    log.error({ err: failure, requestId: id, path: endpoint.path }, 'an error is not declared in the contract')
    if (config.nodeEnv !== 'test') return failure
    return new ContractError('InternalError', { detail: `${failure.errorName} is not declared by ${endpoint.path}` })
  }
}

/** What the gateway reads and clients don't get. */
function setOutcome(reply: FastifyReply, outcome: string): void {
  reply.header(outcomeHeader, outcome)
  const ended = endedSessions()
  if (ended.length) reply.header(endedSessionsHeader, ended.join(','))
}

function credentialsOf(request: FastifyRequest, { claims, isInternal }: Identity, params: RawParams) {
  return {
    caller: claims?.caller,
    token: claims?.token,
    byCookie: claims?.byCookie,
    isInternal,
    method: request.method,
    csrfToken: request.headers[csrfHeader]?.toString() ?? firstText(params, csrfField),
  }
}

function requestInfo(
  request: FastifyRequest,
  params: RawParams,
  language: Language,
  { claims, isInternal }: Identity,
  isForgeable: boolean,
): RequestInfo {
  return {
    id: request.id,
    method: request.method as RequestInfo['method'],
    ip: claims?.ip ?? request.ip,
    language,
    userAgent: request.headers['user-agent'] ?? '',
    proto: claims?.proto ?? 'http',
    host: claims?.host ?? request.headers.host ?? '',
    headers: request.headers as RequestInfo['headers'],
    accessToken: claims?.token ?? accessTokenOf(params, request.headers.authorization),
    isInternal,
    isForgeable,
  }
}

function createCall(parts: {
  params: Record<string, unknown>
  caller: Caller | undefined
  request: RequestInfo
  lifetime: Lifetime
  body: unknown
}): Call<Endpoint> {
  const { lifetime, ...call } = parts
  return {
    ...call,
    deadline: lifetime.deadline,
    get signal() {
      return lifetime.signal
    },
    note() {},
  } as unknown as Call<Endpoint>
}

/** How long (ms) the next part of a body may take to arrive. The gateway waits for less. */
const longestPause = 40_000

/** The connection stays open when a handler stops reading, because the refusal is still to be written. */
async function* bodyWhileItArrives(request: IncomingMessage, most: number): AsyncGenerator<Uint8Array> {
  const late = setTimeout(() => request.destroy(new Error('the body stopped')), longestPause)
  let bytes = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > most) throw new ContractError('RequestTooLarge', { detail: 'body' })
      yield chunk
      late.refresh()
    }
  } finally {
    clearTimeout(late)
  }
}

const isAbort = (error: unknown) =>
  error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
