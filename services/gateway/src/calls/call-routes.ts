import replyFrom from '@fastify/reply-from'
import { type Endpoint, routesOf } from '@im/contracts'
import { endOfCall, pathOf, type RouteConfig, SpanKind } from '@im/service-kit'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Deps } from '../deps.ts'
import { admitCall } from './admit-call.ts'
import type { Answer, Outcome } from './answer.ts'
import { answerBrowser, isBrowser } from './answer-browser.ts'
import { answerHere } from './answer-here.ts'
import { forwardStream } from './forward-stream.ts'
import { forwardWhole } from './forward-whole.ts'
import { IncomingCall } from './incoming-call.ts'
import { refuseCall } from './refuse-call.ts'

/** Adds a route for each method and path of each endpoint. Fastify refuses to start when two endpoints have the same. */
export function addCallRoutes(app: FastifyInstance, deps: Deps): void {
  const here = answerHere(deps)
  app.addHook('onClose', () => here.close())
  const isStream = (endpoint: Endpoint) => endpoint.body === 'stream'
  for (const endpoint of deps.endpoints.filter((each) => !isStream(each)))
    addRoutes(app, deps, endpoint, endpoint.service === 'gateway' ? here.answer : forwardWhole(deps, endpoint))
  app.register(async (scope) => {
    // `forwardStream` logs what goes wrong; the library would do so, too, also when an app leaves.
    const quiet = deps.log.child({}, { level: 'silent' })
    scope.setChildLoggerFactory(() => quiet as FastifyBaseLogger)
    await scope.register(replyFrom, { undici: deps.streamAgent, disableRequestLogging: true })
    for (const endpoint of deps.endpoints.filter(isStream))
      addRoutes(scope, deps, endpoint, forwardStream(deps, endpoint))
  })
}

function addRoutes(app: FastifyInstance, deps: Deps, endpoint: Endpoint, answer: Answer): void {
  // Our own pages call with a cookie, so no other page may call (transport.md §1).
  const config: RouteConfig & { cors?: false } = { answer: endpoint.answer, ...(endpoint.site ? { cors: false } : {}) }
  for (const { method, path } of routesOf(endpoint))
    app.route({
      method,
      url: path,
      config,
      handler: (request, reply) => {
        // In an address of a service they would name another path.
        if (hasDots(request.params)) return reply.callNotFound()
        const url = urlOf(path, request)
        const answering = isBrowser(endpoint, request)
          ? answerBrowser(deps, deps.page, endpoint, request, url, reply)
          : run(deps, new IncomingCall(endpoint, request, deps.config.serviceKeys), url, reply, answer)
        answering.catch((error: unknown) => {
          deps.log.error({ err: error, requestId: request.id, path }, 'a call could not be answered')
          reply.raw.destroy()
        })
      },
    })
}

/** The trace of a call begins here: the trace header of a client is not believed. */
function run(deps: Deps, call: IncomingCall, url: string, reply: FastifyReply, answer: Answer): Promise<void> {
  if (!deps.tracing) return answerCall(deps, call, url, reply, answer).then(() => {})
  return deps.tracing.span(`${call.request.method} ${call.endpoint.path}`, { kind: SpanKind.SERVER }, async (span) =>
    endOfCall(span, await answerCall(deps, call, url, reply, answer)),
  )
}

async function answerCall(
  deps: Deps,
  call: IncomingCall,
  url: string,
  reply: FastifyReply,
  answer: Answer,
): Promise<Outcome> {
  let outcome: Outcome
  try {
    await admitCall(deps, call)
    // Who has left meanwhile needs no answer, and nothing would tell that it is over.
    outcome = reply.raw.destroyed ? 'gone' : await answer(call, url, reply)
  } catch (error) {
    outcome = reply.raw.destroyed ? 'gone' : await refuseCall(deps, call, reply, error)
  }
  call.end()
  deps.callLog.write(call, outcome)
  return outcome
}

/** Dots that make a path another one, and all that the library of streamed calls takes for such. */
const dots = /(^|[/\\])(\.\.|\.($|[/\\]))|\.\.($|[/\\])/

const hasDots = (params: unknown) =>
  Object.values((params ?? {}) as Record<string, string>).some((value) => dots.test(value))

/** The path as the contract spells it, and the query as the client sent it. */
function urlOf(path: string, { params, raw: { url = '' } }: FastifyRequest): string {
  const query = url.indexOf('?')
  const served = path.includes(':') ? pathOf(path, params) : path
  return query < 0 ? served : served + url.slice(query)
}
