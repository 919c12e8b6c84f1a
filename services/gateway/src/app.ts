import cors from '@fastify/cors'
import { ContractError } from '@im/contracts'
import { addOperationRoutes, createHttpServer, queryLanguage, sendFailure } from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { addApiPage } from './api-page.ts'
import { addCallRoutes } from './calls/call-routes.ts'
import type { Deps } from './deps.ts'
import { limitConnections } from './limits/connection-limits.ts'
import { addBosh } from './xmpp/bosh.ts'
import { addWebSocket, mayUpgrade } from './xmpp/websocket.ts'

/** Milliseconds for the longest upload. A body that is read as a whole has less, see read-body.ts. */
const requestTimeout = 600_000
/** Milliseconds before the forced end of the process at which connections that are still busy are closed. */
const lastMoments = 3000

/** Any web page may call the API: it is protected by tokens, not by cookies (transport.md §1). */
const corsOptions = {
  origin: '*',
  methods: 'GET, POST, OPTIONS',
  allowedHeaders: 'authorization, content-type, x-requested-with, x-request-id',
  maxAge: 3600,
  strictPreflight: false,
}

/** Pages of our own live here: no other page may call anything below, served or not. */
const ownPages = ['/console', '/console/*', '/mp', '/mp/*', '/config/set']

/** What apps reach: every endpoint of the contracts, the API page, XMPP over HTTP. */
export function createApp(deps: Deps): FastifyInstance {
  const { config, isTrustedProxy, metrics } = deps
  const app = createHttpServer(deps.log, {
    http: { shouldUpgradeCallback: mayUpgrade },
    requestTimeout,
    trustProxy: isTrustedProxy,
    frameworkErrors: (_error, request, reply) => {
      const answer = reply as FastifyReply
      answer.headers({ 'access-control-allow-origin': corsOptions.origin, ...alwaysSent })
      sendFailure(answer, new ContractError('UnknownEndpoint'), queryLanguage(request.raw.url ?? ''))
    },
  })
  limitConnections(app.server, {
    most: config.maxConnections,
    mostOfAddress: config.maxConnectionsPerAddress,
    isTrusted: isTrustedProxy,
    metrics,
  })
  // Bodies are read, or passed on, by whoever answers.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(alwaysSent)
    done()
  })
  warnOfUntrustedProxy(app, deps)
  app.register(cors, corsOptions)
  addCallRoutes(app, deps)
  for (const url of ownPages) addUnknown(app, url)
  const isProduction = config.nodeEnv === 'production'
  if (config.apiPage === 'on' || (config.apiPage === 'auto' && !isProduction)) addApiPage(app, deps)
  addBosh(app, deps)
  addWebSocket(app, deps)
  endInTime(app, deps)
  return app
}

const alwaysSent = { 'x-content-type-options': 'nosniff' }

function addUnknown(app: FastifyInstance, url: string): void {
  const method = ['GET', 'POST', 'OPTIONS'].filter((each) => !app.hasRoute({ url, method: each as 'GET' }))
  app.route({ url, method, config: { cors: false }, handler: (_request, reply) => reply.callNotFound() })
}

/** A proxy that nobody named hides all clients behind its address, and they share one limit. */
function warnOfUntrustedProxy(app: FastifyInstance, { isTrustedProxy, log }: Deps): void {
  let warned = false
  app.addHook('onRequest', (request: FastifyRequest, _reply, done) => {
    if (!warned && request.headers['x-forwarded-for'] !== undefined) {
      const peer = request.raw.socket.remoteAddress ?? ''
      warned = !isTrustedProxy(peer, 0)
      if (warned) log.warn({ peer }, 'X-Forwarded-For is not believed: its sender is not one of TRUSTED_PROXIES')
    }
    done()
  })
}

/** Requests that are still busy when the end is due are cut, so that everything else can end in order. */
function endInTime(app: FastifyInstance, { config }: Deps): void {
  app.addHook('preClose', async () => {
    const wait = Math.max(0, config.shutdownSeconds * 1000 - lastMoments)
    setTimeout(() => app.server.closeAllConnections(), wait).unref()
  })
}

/** What the operator reaches, on a port of its own. */
export function createOperationsApp(deps: Deps): FastifyInstance {
  const app = createHttpServer(deps.log)
  addOperationRoutes(app, { metrics: deps.metrics, ready: () => deps.readiness.check() })
  return app
}
