import cors from '@fastify/cors'
import { addOperationRoutes, createHttpServer } from '@im/service-kit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { addApiPage } from './api-page.ts'
import { addCallRoutes } from './calls/call-routes.ts'
import type { Deps } from './deps.ts'
import { limitConnections } from './limits/connection-limits.ts'
import { addBosh } from './xmpp/bosh.ts'
import { addWebSocket, mayUpgrade } from './xmpp/websocket.ts'

/** Milliseconds that the longest upload may take. Bodies that are read whole have less time, see read-body.ts. */
const requestTimeout = 600_000
/** Connections that are still busy are closed this long (ms) before the process is forced to end. */
const lastMoments = 3000

/** Any web page may call the API: it is protected by tokens, not by cookies (transport.md §1). */
const corsOptions = {
  origin: '*',
  methods: 'GET, POST, OPTIONS',
  allowedHeaders: 'authorization, content-type, x-requested-with, x-request-id',
  maxAge: 3600,
  strictPreflight: false,
}

/** Paths of our own pages. No other page may call anything below them, even paths that don't exist. */
const ownPages = ['/console', '/console/*', '/mp', '/mp/*', '/config/set']

/** The server for apps: every endpoint of the contracts, the API page, XMPP over HTTP. */
export function createApp(deps: Deps): FastifyInstance {
  const { config, isTrustedProxy, metrics } = deps
  const app = createHttpServer(deps.log, {
    http: { shouldUpgradeCallback: mayUpgrade },
    requestTimeout,
    trustProxy: isTrustedProxy,
  })
  limitConnections(app.server, {
    most: config.maxConnections,
    mostOfAddress: config.maxConnectionsPerAddress,
    isTrusted: isTrustedProxy,
    metrics,
  })
  // The handlers read bodies or pass them on.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(alwaysSent)
    done()
  })
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.is404) deps.callLog.writeUnknown(request)
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

/** Logs a warning when a proxy is missing in TRUSTED_PROXIES: all its clients then share one address and its limits. */
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

/** Cuts requests that are still busy shortly before the forced end, so that everything else can end in order. */
function endInTime(app: FastifyInstance, { config }: Deps): void {
  app.addHook('preClose', async () => {
    const wait = Math.max(0, (config.drainSeconds + config.shutdownSeconds) * 1000 - lastMoments)
    setTimeout(() => app.server.closeAllConnections(), wait).unref()
  })
}

/** The server for operators, on a port of its own. */
export function createOperationsApp(deps: Deps): FastifyInstance {
  const app = createHttpServer(deps.log)
  addOperationRoutes(app, { metrics: deps.metrics, ready: () => deps.readiness.check() })
  return app
}
