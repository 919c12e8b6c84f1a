import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { ContractError, type Endpoint, type ErrorName } from '@im/contracts'
import Fastify, {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyContextConfig,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify'
import type { Logger } from '../logs.ts'
import { sendError, sendFailure } from './answers.ts'
import { maxBodyBytes } from './body-limit.ts'
import { failureBody, jsonType } from './envelope.ts'
import { asContractError } from './failures.ts'
import { queryLanguage } from './language.ts'

/** The `config` of an endpoint's route: the form of its errors. */
export type RouteConfig = Pick<Endpoint, 'answer'> & FastifyContextConfig

/** Longest request head. A text parameter may have 64 KiB, which is three times as much when percent-encoded. */
const maxHeadBytes = 256 * 1024

/**
 * Makes a Fastify instance with the rules of transport.md: forgiving paths, bodies as bytes up to 1 MiB, no 5xx for bad input,
 * and an envelope even for requests that are not valid HTTP. A request may take 30 s to arrive, its head 15 s.
 */
export function createHttpServer(log: Logger, more: FastifyHttpOptions<Server> = {}): FastifyInstance {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // Lines tell their request by themselves; a logger for each request would cost as much as the rest of its way.
    childLoggerFactory: (logger) => logger,
    bodyLimit: maxBodyBytes,
    genReqId: (request) => acceptedRequestId(request.headers['x-request-id']) ?? newRequestId(),
    forceCloseConnections: 'idle',
    // A request that arrives on an open connection while the service ends is answered, and the connection is closed.
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
  app.addHook('onRequest', (request, _reply, done) => {
    // Requests without Content-Type are parsed as a form; so are those whose Content-Type is not a media type.
    const type = request.headers['content-type']
    if (type !== undefined && !mediaType.test(type)) delete request.headers['content-type']
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setNotFoundHandler((request, reply) => {
    sendFailure(reply, new ContractError('UnknownEndpoint'), queryLanguage(request.raw.url ?? ''))
  })
  app.setErrorHandler((error, request, reply) => {
    // Without an endpoint the answer is UnknownEndpoint, even when the body is too long.
    const failure = request.is404 ? new ContractError('UnknownEndpoint') : asContractError(error, request.id, log)
    const { answer } = request.routeOptions.config as RouteConfig
    sendError(reply, failure, queryLanguage(request.raw.url ?? ''), answer)
  })
  return app
}

const mediaType = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+/

const requestIdForm = /^[A-Za-z0-9._-]{1,64}$/

/** The id of an incoming request if it has the allowed form (transport.md §1), else undefined. */
function acceptedRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && requestIdForm.test(header) ? header : undefined
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

/** Answers what the HTTP parser refuses. There is no request object, so the answer is written to the socket. */
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
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  else socket.destroy()
  // The peer may go on sending without end.
  setTimeout(() => socket.destroy(), 1000).unref()
}
