import type { Server } from 'node:http'
import type { Endpoint } from '@im/contracts'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyContextConfig,
  type FastifyHttpOptions,
  type FastifyInstance,
  LogController,
} from 'fastify'
import type { Logger } from '../logs.ts'
import { sendError, sendUnknown } from './answers.ts'
import { maxBodyBytes } from './body-limit.ts'
import { boundParts } from './bound-parts.ts'
import { boundPipelining } from './bound-pipelining.ts'
import { asContractError } from './failures.ts'
import { queryLanguage } from './language.ts'
import { refuseInvalidHttp, refusingOptions } from './refuse-http.ts'
import { acceptedRequestId, newRequestId } from './request-id.ts'

/** The `config` of an endpoint's route: the form of its errors. */
export type RouteConfig = Pick<Endpoint, 'answer'> & FastifyContextConfig

/** Longest request head. A text parameter may have 64 KiB, which is three times as much when percent-encoded. */
const maxHeadBytes = 256 * 1024

/**
 * Makes a Fastify instance with the rules of transport.md: forgiving paths, bodies as bytes up to 1 MiB, no 5xx for bad input,
 * and an envelope even for requests that are not valid HTTP. A request may take 30 s to arrive, its head 15 s, its body may not come
 * in crumbs, and few requests may be sent ahead.
 */
export function createHttpServer(log: Logger, more: FastifyHttpOptions<Server> = {}): FastifyInstance {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // Log lines name their request anyway; a logger for each request would cost as much as the rest of the request.
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
    ...refusingOptions,
    ...more,
    http: {
      ...refusingOptions.http,
      maxHeaderSize: maxHeadBytes,
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5000,
      ...more.http,
    },
  }) as unknown as FastifyInstance
  refuseInvalidHttp(app)
  app.server.prependListener('request', boundParts)
  boundPipelining(app)
  app.addHook('onRequest', (request, _reply, done) => {
    // Requests without Content-Type are parsed as a form; so are those whose Content-Type is not a media type.
    const type = request.headers['content-type']
    if (type !== undefined && !mediaType.test(type)) delete request.headers['content-type']
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setNotFoundHandler((_request, reply) => sendUnknown(reply))
  app.setErrorHandler((error, request, reply) => {
    // Without an endpoint the answer is UnknownEndpoint, even when the body is too long.
    if (request.is404) return sendUnknown(reply)
    const { answer } = request.routeOptions.config as RouteConfig
    sendError(reply, asContractError(error, request.id, log), queryLanguage(request.raw.url ?? ''), answer)
  })
  return app
}

const mediaType = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+/
