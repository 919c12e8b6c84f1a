import type { Contract, Endpoint, Handler, Handlers } from '@im/contracts'
import { routesOf } from '@im/contracts'
import type { FastifyInstance } from 'fastify'
import type { AuditLog } from '../audit.ts'
import type { RateCounters } from '../limits/rate-counters.ts'
import type { Logger } from '../logs.ts'
import { Histogram, type Registry } from '../metrics.ts'
import type { Tracing } from '../tracing.ts'
import { createAnswerer } from './answerer.ts'
import { longestBody } from './body-limit.ts'
import { defaultTimeoutMs } from './lifetime.ts'
import { addOperationRoutes } from './operation-routes.ts'
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

export interface ServiceAppOptions<Deps> {
  handlers: readonly BoundHandler<Deps>[]
  deps: Deps
  /** With `nodeEnv` test, an error that the contract does not declare is answered as InternalError. */
  config: { serviceKeys: readonly string[]; callerKeys: readonly string[]; nodeEnv?: string }
  log: Logger
  metrics: Registry
  tracing?: Tracing | undefined
  /** Counts the limits of the contracts; without it they are not counted. */
  limits?: RateCounters | undefined
  /** Needed where a contract says `audit`. */
  audit?: AuditLog | undefined
  /** Rejects while a store does not answer. */
  ready?: () => Promise<void>
  /** Whether calls are refused because too many wait already. */
  isOverloaded?: () => boolean
}

/** Called with the name of the outcome and the `performance.now()` at which the call began. */
export type AnswerTimer = (endpoint: Endpoint, outcome: string, startedAt: number) => void

/** How long (ms) a request may take to arrive; streams may take longer. */
const shortRequestMs = 30_000

/**
 * The HTTP edge of a service. It decodes parameters by the contract, calls the handler and writes the envelope. Every answer of
 * the API has HTTP status 200, errors too. Unexpected errors are logged whole and answered as InternalError with the request id.
 */
export function createServiceApp<Deps>(options: ServiceAppOptions<Deps>): FastifyInstance {
  const timing = requestTimer(options.metrics)
  const streamed = options.handlers.filter(({ endpoint }) => endpoint.body === 'stream')
  const others = options.handlers.filter(({ endpoint }) => endpoint.body !== 'stream')
  const timeouts = streamed.map(({ endpoint }) => endpoint.timeoutMs ?? defaultTimeoutMs)
  const app = createHttpServer(options.log, { requestTimeout: Math.max(shortRequestMs, ...timeouts) })
  addRoutes(app, others, options, timing)
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    // The handlers read the bodies.
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    addRoutes(scope, streamed, options, timing)
  })
  addOperationRoutes(app, options)
  return app
}

function addRoutes<Deps>(
  app: FastifyInstance,
  handlers: readonly BoundHandler<Deps>[],
  options: ServiceAppOptions<Deps>,
  timing: AnswerTimer,
): void {
  for (const bound of handlers) {
    const { endpoint } = bound
    const handler = createAnswerer(bound, options, timing)
    const config: RouteConfig = { answer: endpoint.answer }
    for (const { method, path: url } of routesOf(endpoint))
      app.route({ url, method, handler, config, bodyLimit: longestBody(endpoint) })
  }
}

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
