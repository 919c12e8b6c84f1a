import { ContractError } from '@im/contracts'
import { addOperationRoutes, createHttpServer, queryLanguage, sendFailure } from '@im/service-kit'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { corsHeaders, hasCors } from './cors.ts'
import type { Deps } from './deps.ts'
import { addDocsPage } from './docs-page.ts'
import { addRoutes } from './routes.ts'
import { addBosh } from './xmpp-bosh.ts'
import { mayUpgrade } from './xmpp-websocket.ts'

/** Answers that Fastify sends itself, refusals above all. What a service answered has its headers from forward.ts. */
function addCors(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (hasCors(request.raw.url ?? '')) reply.headers(corsHeaders)
    done(null, payload)
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (request.raw.method !== 'OPTIONS' || !hasCors(request.raw.url ?? '')) return done()
    reply.code(204).header('x-request-id', request.id).send()
  })
}

/** What apps reach: every endpoint of the table, the API page, XMPP over HTTP. */
export function createApp(deps: Deps): FastifyInstance {
  const app = createHttpServer(deps.log, {
    http: { shouldUpgradeCallback: mayUpgrade },
    frameworkErrors: (_error, request, reply) => {
      const answer = reply as FastifyReply
      answer.headers(corsHeaders)
      sendFailure(answer, new ContractError('UnknownEndpoint'), queryLanguage(request.raw.url ?? ''))
    },
  })
  addCors(app)
  addRoutes(app, deps)
  addDocsPage(app)
  addBosh(app, deps)
  app.server.on('upgrade', (request, socket, head) => deps.tunnels.carry(request, socket, head))
  app.addHook('preClose', async () => deps.tunnels.close())
  return app
}

/** What the operator reaches, on a port of its own. */
export function createOperationsApp(deps: Deps): FastifyInstance {
  const app = createHttpServer(deps.log)
  addOperationRoutes(app, { metrics: deps.metrics, ready: () => ready(deps) })
  return app
}

/** Rejects while Redis, NATS or a service does not answer. */
async function ready({ redis, bus, owners }: Deps): Promise<void> {
  await Promise.all([redis.ping(), bus.ping(), ...[...owners.values()].map((owner) => owner.ready())])
}
