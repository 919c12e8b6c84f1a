import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import {
  type Call,
  type Contract,
  ContractError,
  type Endpoint,
  type ErrorName,
  type Handler,
  type Handlers,
  type Language,
  OAuthError,
  type RawAnswer,
  Reply,
  type RequestInfo,
} from '@im/contracts'
import Fastify, {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { Logger } from '../logs.ts'
import { Histogram, type Registry } from '../metrics.ts'
import { type CallerClaims, callerHeader, readCaller, sameText, serviceKeyHeader } from './caller.ts'
import { compileDecoder, selfParams } from './decode.ts'
import { acceptedRequestId, compileWriter, failureBody, jsonType, languageOf, successBody } from './envelope.ts'
import { asContractError } from './failures.ts'
import { firstText, type RawParams, readParams } from './raw-params.ts'

/** 1 MiB per request (transport.md §1). */
export const maxBodyBytes = 1024 * 1024

interface Served<Deps> {
  endpoint: Endpoint
  handler: Handler<Endpoint, Deps>
}

/** Binds each endpoint of a contract to its handler; a missing handler does not compile. */
export function serve<C extends Contract, Deps>(contract: C, handlers: Handlers<C, Deps>): Served<Deps>[] {
  return Object.entries(contract).map(([name, endpoint]) => {
    const handler = handlers[name]
    if (!handler) throw new Error(`${endpoint.path} has no handler`)
    return { endpoint, handler: handler as Handler<Endpoint, Deps> }
  })
}

export interface ServiceAppOptions<Deps> {
  service: string
  served: Served<Deps>[][]
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
  for (const { endpoint, handler } of options.served.flat()) {
    const answer = createAnswerer(endpoint, handler, options, timing)
    for (const url of [endpoint.path, ...(endpoint.aliases ?? [])])
      app.route({ url, method: [...(endpoint.methods ?? ['GET', 'POST'])], handler: answer })
  }
  addOperationRoutes(app, options.metrics, options.ready)
  return app
}

/** Longest request head: a text parameter may have 64 KiB, three times that when percent-encoded. */
const maxHeadBytes = 256 * 1024

/**
 * A Fastify instance with the wire's rules: forgiving paths, bodies as bytes up to 1 MiB, no 5xx for bad input, an envelope
 * also for what is no HTTP. A request has 30 s to arrive, its head 15 s.
 */
export function createHttpServer(log: Logger, more: FastifyHttpOptions<Server> = {}): FastifyInstance {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBodyBytes,
    genReqId: (request) => acceptedRequestId(request.headers['x-request-id']) ?? newRequestId(),
    forceCloseConnections: 'idle',
    // What still arrives on an open connection while the service ends is served, and the connection closed.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    requestTimeout: 30_000,
    routerOptions: {
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
      maxParamLength: 1024,
      querystringParser: () => ({}),
    },
    frameworkErrors: (_error, request, reply) => {
      sendFailure(reply as FastifyReply, new ContractError('UnknownEndpoint'), queryLanguage(request.raw.url ?? ''))
    },
    clientErrorHandler: answerBrokenHttp,
    ...more,
    http: { maxHeaderSize: maxHeadBytes, headersTimeout: 15_000, connectionsCheckingInterval: 5000, ...more.http },
  }) as unknown as FastifyInstance
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setNotFoundHandler((request, reply) => {
    sendFailure(reply, new ContractError('UnknownEndpoint'), queryLanguage(request.raw.url ?? ''))
  })
  app.setErrorHandler((error, request, reply) => {
    // The path is checked before the size: a body that is too long for no endpoint is no endpoint.
    const failure = request.is404 ? new ContractError('UnknownEndpoint') : asContractError(error, request.id, log)
    sendFailure(reply, failure, queryLanguage(request.raw.url ?? ''))
  })
  return app
}

const processPart = randomBytes(6).toString('hex')
let requestCount = 0

/** Unique, not secret. */
const newRequestId = () => `${processPart}-${(++requestCount).toString(36)}`

const brokenHttp: Record<string, { status: string; error: ErrorName; detail: string }> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    error: 'RequestTooLarge',
    detail: 'the head of the request',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    error: 'InvalidParams',
    detail: 'the request did not arrive in time',
  },
}

/** What the HTTP parser refuses has no request object: the answer is written on the socket, which is then closed. */
function answerBrokenHttp(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const broken = brokenHttp[error.code] ?? {
    status: '400 Bad Request',
    error: 'InvalidParams',
    detail: 'this is not valid HTTP',
  }
  const body = failureBody(new ContractError(broken.error, { detail: broken.detail }), 'zh')
  const head = [
    `HTTP/1.1 ${broken.status}`,
    `Content-Type: ${jsonType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${newRequestId()}`,
    'Access-Control-Allow-Origin: *',
    'Connection: close',
  ]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // The peer may go on sending without end: nobody reads it.
  else socket.destroy()
  setTimeout(() => socket.destroy(), 1000).unref()
}

export function sendFailure(reply: FastifyReply, error: ContractError, language: Language): void {
  if (error.retryAfter !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfter)))
  reply.code(200).header('content-type', jsonType).header('x-request-id', reply.request.id)
  reply.send(failureBody(error, language))
}

/** Language of a request whose parameters were not read. */
export function queryLanguage(url: string): Language {
  const at = url.indexOf('?')
  return languageOf(at < 0 ? undefined : (new URLSearchParams(url.slice(at + 1)).get('language') ?? undefined))
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
      const result = outcome instanceof Reply ? outcome.data : outcome
      if ('x-raw' in endpoint.result) sendRaw(reply, result as RawAnswer)
      else {
        const text = (outcome instanceof Reply ? outcome.text : endpoint.successText)?.[language]
        reply.header('content-type', jsonType).send(successBody(write, result, text))
      }
      timing(endpoint, 'Success', startedAt)
    } catch (error) {
      if (error instanceof OAuthError) {
        timing(endpoint, error.error, startedAt)
        sendOAuthError(reply, error)
        return reply
      }
      const failure = asContractError(error, request.id, log, endpoint.path)
      timing(endpoint, failure.errorName, startedAt)
      if (endpoint.answer === 'oauth') sendOAuthError(reply, oauthErrorOf(failure))
      else sendFailure(reply, failure, language ?? 'zh')
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
    return { params: decoded, caller, request: requestInfo(request, params, language, isInternal, claims) } as Call
  }
}

const rawBytes = /[\x80-\xff]/

/** The query of a URL. Node hands bytes beyond ASCII on as Latin-1; apps that do not encode them send UTF-8. */
export function queryOf(url: string): string {
  const at = url.indexOf('?')
  if (at < 0) return ''
  const query = url.slice(at + 1)
  return rawBytes.test(query) ? Buffer.from(query, 'latin1').toString('utf8') : query
}

/** Query and body of a request, in whatever form they came. */
export function readRequest(request: FastifyRequest): Promise<RawParams> {
  const url = request.raw.url ?? ''
  return readParams(
    queryOf(url),
    request.headers['content-type'],
    Buffer.isBuffer(request.body) ? request.body : undefined,
  )
}

/** The token of a request: parameter first, then the Authorization header (transport.md §5). */
export function accessTokenOf(params: RawParams, authorization: string | undefined): string | undefined {
  const parameter = firstText(params, 'access_token')
  if (parameter) return parameter.trim()
  return /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1]
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
    ip: claims?.ip ?? request.ip,
    language,
    userAgent: request.headers['user-agent'] ?? '',
    accessToken: accessTokenOf(params, request.headers.authorization),
    isInternal,
  }
}

function sendRaw(reply: FastifyReply, raw: RawAnswer): void {
  reply.code(raw.status).headers(raw.headers)
  // Fastify counts the bytes of a Buffer; an empty body has no content type.
  reply.send(typeof raw.body === 'string' ? raw.body : Buffer.from(raw.body))
}

function sendOAuthError(reply: FastifyReply, error: OAuthError): void {
  reply.code(error.status).header('content-type', jsonType).header('cache-control', 'no-store')
  reply.send(JSON.stringify({ error: error.error, error_description: error.message }))
}

function oauthErrorOf(failure: ContractError): OAuthError {
  const text = failure.detail ?? failure.textIn('en')
  switch (failure.errorName) {
    case 'MissingParam':
    case 'InvalidParams':
    case 'RequestTooLarge':
      return new OAuthError(400, 'invalid_request', text)
    case 'LoginTooOften':
    case 'RateLimited':
      return new OAuthError(429, 'slow_down', failure.textIn('en'))
    case 'InternalError':
      return new OAuthError(500, 'server_error', failure.textIn('en'))
    case 'ServiceUnavailable':
      return new OAuthError(503, 'temporarily_unavailable', failure.textIn('en'))
    case 'PermissionDenied':
      return new OAuthError(401, 'invalid_client', failure.textIn('en'))
    default:
      return new OAuthError(400, 'invalid_grant', failure.textIn('en'))
  }
}

/** /healthz, /readyz and /metrics: for the operator's network, the gateway routes none of them from outside. */
export function addOperationRoutes(app: FastifyInstance, metrics: Registry, ready?: () => Promise<void>): void {
  addHealthRoutes(app, ready)
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
}

/** /healthz: the process lives; /readyz: it can do its work, or 503 with the reason. */
export function addHealthRoutes(app: FastifyInstance, ready?: () => Promise<void>): void {
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/readyz', async (_request, reply) => {
    try {
      await ready?.()
      return reply.type('text/plain').send('ready\n')
    } catch (error) {
      return reply
        .code(503)
        .type('text/plain')
        .send(`not ready: ${(error as Error).message}\n`)
    }
  })
}
