import {
  type Call,
  type Contract,
  ContractError,
  type Endpoint,
  type Handler,
  type Handlers,
  type Language,
  OAuthError,
  RawAnswer,
  Reply,
  type ReplyOptions,
  type RequestInfo,
} from '@im/contracts'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../logs.ts'
import { Histogram, type Registry } from '../metrics.ts'
import { sendError, sendHeaders, sendRaw } from './answers.ts'
import { type CallerClaims, callerHeader, readCaller, sameText, serviceKeyHeader } from './caller.ts'
import { compileDecoder, selfParams } from './decode/compile-decoder.ts'
import { compileWriter, jsonType, languageOf, successBody } from './envelope.ts'
import { asContractError } from './failures.ts'
import { addOperationRoutes } from './operation-routes.ts'
import { firstText, type RawParams } from './raw-params.ts'
import { accessTokenOf, queryLanguage, readRequest } from './request.ts'
import { createHttpServer, type RouteConfig } from './server.ts'

export interface BoundHandler<Deps> {
  endpoint: Endpoint
  handler: Handler<Endpoint, Deps>
}

/** Binds each endpoint of a contract to its handler; a missing handler does not compile. */
export function bindHandlers<C extends Contract, Deps>(contract: C, handlers: Handlers<C, Deps>): BoundHandler<Deps>[] {
  return Object.entries(contract).map(([name, endpoint]) => {
    const handler = handlers[name]
    if (!handler) throw new Error(`${endpoint.path} has no handler`)
    return { endpoint, handler: handler as Handler<Endpoint, Deps> }
  })
}

/** How long an answer may take unless the contract says otherwise. */
const defaultTimeoutMs = 5000

export interface ServiceAppOptions<Deps> {
  handlers: readonly BoundHandler<Deps>[]
  deps: Deps
  config: { serviceKey: string; callerKey: string }
  log: Logger
  metrics: Registry
  /** Rejects while a store does not answer. */
  ready?: () => Promise<void>
}

/**
 * The HTTP edge of a service: parameters in any of the wire's forms → contract → handler → envelope. HTTP status is 200 for
 * every answer of the API, errors included; what is unexpected is logged whole and shown as InternalError with the request id.
 */
export function createServiceApp<Deps>(options: ServiceAppOptions<Deps>): FastifyInstance {
  const app = createHttpServer(options.log)
  const timing = requestTimer(options.metrics)
  for (const { endpoint, handler } of options.handlers) {
    const answer = createAnswerer(endpoint, handler, options, timing)
    const config: RouteConfig = { answer: endpoint.answer }
    for (const url of [endpoint.path, ...(endpoint.aliases ?? [])])
      app.route({ url, method: [...(endpoint.methods ?? ['GET', 'POST'])], handler: answer, config })
  }
  addOperationRoutes(app, options)
  return app
}

type AnswerTimer = (endpoint: Endpoint, outcome: string, startedAt: number) => void

function requestTimer(metrics: Registry): AnswerTimer {
  const seconds = new Histogram({
    name: 'im_request_seconds',
    help: 'Time to answer, by endpoint and outcome (result name)',
    labelNames: ['path', 'outcome'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [metrics],
  })
  return (endpoint, outcome, startedAt) =>
    seconds.observe({ path: endpoint.path, outcome }, (performance.now() - startedAt) / 1000)
}

function createAnswerer<Deps>(
  endpoint: Endpoint,
  handler: Handler<Endpoint, Deps>,
  options: ServiceAppOptions<Deps>,
  timing: AnswerTimer,
) {
  const decode = compileDecoder(endpoint)
  const write = compileWriter(endpoint)
  const ownIds = selfParams(endpoint)
  const { config, deps, log } = options

  return async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startedAt = performance.now()
    let language: Language | undefined
    reply.header('x-request-id', request.id)
    try {
      const read = await readRequest(request).catch((error: unknown) => ({ error }))
      language = read instanceof Map ? languageOf(firstText(read, 'language')) : queryLanguage(request.raw.url ?? '')
      const identity = identify(request)
      // After the token on purpose: who may not call learns nothing about his parameters (transport.md §6).
      if (!(read instanceof Map)) throw read.error
      const call = buildCall(request, read, language, identity)
      const outcome = await handler(deps, call)
      const { data: result, more } = outcome instanceof Reply ? outcome : { data: outcome, more: {} as ReplyOptions }
      if (result instanceof RawAnswer) sendRaw(reply, result)
      else {
        const text = (more.text ?? endpoint.successText)?.[language]
        sendHeaders(reply, more.headers)
        reply.header('content-type', jsonType).send(successBody(write, result, text))
      }
      timing(endpoint, 'Success', startedAt)
    } catch (error) {
      const failure = error instanceof OAuthError ? error : asContractError(error, request.id, log, endpoint.path)
      timing(endpoint, failure instanceof OAuthError ? failure.error : failure.errorName, startedAt)
      sendError(reply, failure, language ?? 'zh', endpoint.answer)
    }
    return reply
  }

  function identify(request: FastifyRequest) {
    const claims = readCaller(config.callerKey, request.headers[callerHeader] as string | undefined)
    const serviceKey = request.headers[serviceKeyHeader]
    const isInternal = typeof serviceKey === 'string' && sameText(serviceKey, config.serviceKey)
    if (endpoint.auth === 'internal' && !isInternal) throw new ContractError('PermissionDenied')
    if (endpoint.auth === 'user' && !claims?.caller)
      throw new ContractError(claims?.token === 'invalid' ? 'TokenInvalid' : 'TokenMissing')
    return { claims, isInternal }
  }

  function buildCall(
    request: FastifyRequest,
    params: RawParams,
    language: Language,
    { claims, isInternal }: ReturnType<typeof identify>,
  ): Call {
    const caller = endpoint.auth === 'user' || endpoint.auth === 'optional' ? claims?.caller : undefined
    const decoded = decode(params)
    for (const name of ownIds) {
      if (decoded[name] !== undefined && decoded[name] !== caller?.userId)
        throw new ContractError('PermissionDenied', { detail: name })
    }
    const deadline = Date.now() + (endpoint.timeoutMs ?? defaultTimeoutMs)
    return {
      params: decoded,
      caller,
      body: undefined,
      request: requestInfo(request, params, language, isInternal, claims),
      deadline,
      signal: AbortSignal.timeout(deadline - Date.now()),
      note: () => {},
    } as Call
  }
}

function requestInfo(
  request: FastifyRequest,
  params: RawParams,
  language: Language,
  isInternal: boolean,
  claims: CallerClaims | undefined,
): RequestInfo {
  return {
    id: request.id,
    method: request.method as RequestInfo['method'],
    proto: 'http',
    host: request.headers.host ?? '',
    headers: request.headers as RequestInfo['headers'],
    ip: claims?.ip ?? request.ip,
    language,
    userAgent: request.headers['user-agent'] ?? '',
    accessToken: accessTokenOf(params, request.headers.authorization),
    isInternal,
  }
}
