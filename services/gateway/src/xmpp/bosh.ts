import httpProxy from '@fastify/http-proxy'
import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Agent } from 'undici'
import { readBody } from '../calls/read-body.ts'
import { clientAddress } from '../client-address.ts'
import type { Deps } from '../deps.ts'
import { AddressBudget } from '../limits/address-budget.ts'

/** How long (ms) a poll may take. Clients use up to 60 s; the XMPP server allows 180. */
const longestPoll = 190_000
/** The XMPP server takes stanzas of 256 KiB. */
const maxBytes = 512 * 1024

/**
 * Proxies BOSH (XEP-0124) to the XMPP server. Long polls have connections of their own, so that no other call waits for them.
 * Errors are HTTP statuses, because BOSH clients don't know the envelope.
 */
export function addBosh(app: FastifyInstance, { config, bodyMemory }: Deps): void {
  const { xmppHttpUrl: upstream, maxConnections, maxXmppPerAddress, serviceTimeoutMs } = config
  const waiting = new AddressBudget({ most: maxConnections, mostOfAddress: maxXmppPerAddress })
  const agent = new Agent({
    connect: { timeout: serviceTimeoutMs },
    headersTimeout: longestPoll,
    bodyTimeout: longestPoll,
  })

  async function takeCall(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const address = limitAddress(clientAddress(request))
    if (request.body !== undefined) {
      const { body, release } = await readBody(request.raw, { maxBytes, memory: bodyMemory, address })
      reply.raw.once('close', release)
      request.body = body
    }
    if (waiting.take(address)) throw new ContractError('RateLimited', { args: [5], retryAfter: 5 })
  }
  /** Not called when the client leaves, because its poll holds a connection until the XMPP server has answered. */
  const callEnded = (request: Parameters<typeof clientAddress>[0]) =>
    waiting.release(limitAddress(clientAddress(request)))

  app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => refuse(reply, error))
    // Waiting polls are answered with 503. The clients come back through another gateway, and their sessions go on.
    scope.addHook('preClose', () => agent.destroy())
    await scope.register(httpProxy, {
      upstream,
      prefix: '/http-bind',
      rewritePrefix: '/http-bind',
      routes: ['/'],
      httpMethods: ['GET', 'POST'],
      proxyPayloads: false,
      disableRequestLogging: true,
      undici: agent,
      preHandler: takeCall,
      replyOptions: {
        // A repetition could send stanzas twice. The client itself repeats with the same rid.
        retryDelay: () => null,
        rewriteRequestHeaders: (request, headers) => ({
          'content-type': headers['content-type'] ?? 'text/xml; charset=utf-8',
          'x-forwarded-for': clientAddress(request),
        }),
        // Runs for every answer of the XMPP server, even when the client is gone.
        rewriteHeaders({ 'content-type': contentType }, request) {
          if (request) callEnded(request)
          return { 'content-type': contentType }
        },
        onError(reply, { error }) {
          callEnded(reply.request)
          refuse(reply as unknown as FastifyReply, error)
        },
      },
    })
  })
}

const statuses: Partial<Record<string, number>> = { RequestTooLarge: 413, RateLimited: 429 }

function refuse(reply: FastifyReply, error: unknown): void {
  const status = (error instanceof ContractError && statuses[error.errorName]) || 503
  reply.code(status).header('retry-after', '5').send('')
}
