import httpProxy from '@fastify/http-proxy'
import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Agent } from 'undici'
import { readBody } from '../calls/read-body.ts'
import { clientAddress } from '../client-address.ts'
import type { Deps } from '../deps.ts'
import { AddressBudget } from '../limits/address-budget.ts'

/** Milliseconds. A long poll waits up to 60 s; the XMPP server allows 180. */
const longestPoll = 190_000
/** The XMPP server takes stanzas of 256 KiB. */
const maxBytes = 512 * 1024

/**
 * BOSH (XEP-0124): long polls, carried to the XMPP server over connections that no other call waits for. An HTTP status tells
 * its clients more than an envelope does.
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
  /** Not when the client goes: its call keeps a connection to the XMPP server until that has answered. */
  const callEnded = (request: Parameters<typeof clientAddress>[0]) =>
    waiting.release(limitAddress(clientAddress(request)))

  app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => refuse(reply, error))
    // A long poll is answered with 503 and comes back through another gateway; its session goes on.
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
        // What is sent twice may be said twice. The client repeats by itself, with the same rid.
        retryDelay: () => null,
        rewriteRequestHeaders: (request, headers) => ({
          'content-type': headers['content-type'] ?? 'text/xml; charset=utf-8',
          'x-forwarded-for': clientAddress(request),
        }),
        // Runs for every answer of the XMPP server, also when the client is gone.
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
