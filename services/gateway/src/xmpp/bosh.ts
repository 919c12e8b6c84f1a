import { Readable } from 'node:stream'
import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Agent, type Dispatcher } from 'undici'
import { readBody } from '../calls/read-body.ts'
import { clientAddress } from '../client-address.ts'
import type { Deps } from '../deps.ts'
import { AddressBudget } from '../limits/address-budget.ts'
import { hasRequestId, hasStartTag, isCutShort, longestTag, sessionIdOf, withSessionId } from './bosh-session-id.ts'

/** How long (ms) a poll may take. Clients use up to 60 s; the XMPP server allows 180. */
const longestPoll = 190_000
/** The XMPP server takes stanzas of 256 KiB. */
const maxBytes = 512 * 1024
/** How long (ms) the XMPP server keeps a session that its client does not go on with. */
const sessionLife = 60_000

/**
 * Proxies BOSH (XEP-0124) to the XMPP servers. A session lives in one of them: the session ids that clients get name it, so
 * every gateway finds it. When that server is lost the session is ended, and the client begins a new one elsewhere.
 *
 * Long polls have connections of their own, so that no other call waits for them. Errors are HTTP statuses, because BOSH
 * clients don't know the envelope.
 */
export function addBosh(app: FastifyInstance, { config, bodyMemory, xmppServers }: Deps): void {
  const { maxConnections, maxXmppPerAddress, serviceTimeoutMs } = config
  const waiting = new AddressBudget({ most: maxConnections, mostOfAddress: maxXmppPerAddress })
  const begun = new AddressBudget({ most: maxConnections, mostOfAddress: maxXmppPerAddress })
  const agent = new Agent({
    connect: { timeout: serviceTimeoutMs },
    headersTimeout: longestPoll,
    bodyTimeout: longestPoll,
  })
  let isClosing = false

  async function carry(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const client = clientAddress(request)
    const address = limitAddress(client)
    const { body, release } = await readBody(request.raw, { maxBytes, memory: bodyMemory, address })
    reply.raw.once('close', release)
    if (waiting.take(address)) throw new ContractError('RateLimited', { args: [5], retryAfter: 5 })
    // Also when the client has left: its poll holds a connection until the XMPP server has answered.
    try {
      const xml = body.toString('latin1') // keeps the bytes as they are
      if (isCutShort(xml)) return terminate(reply, 'bad-request')
      const [key, ...sid] = sessionIdOf(xml)?.split('-') ?? []
      if (key !== undefined && !hasRequestId(xml)) return terminate(reply, 'bad-request')
      const server = key === undefined ? await xmppServers.findLiving() : await xmppServers.withKey(key)
      if (!server) return key === undefined ? unavailable(reply) : terminate(reply, 'item-not-found')
      const call: Dispatcher.RequestOptions = {
        origin: server,
        path: '/http-bind',
        method: 'POST',
        // Clients say the strangest things of their content, and the XMPP server does not ask.
        headers: { 'content-type': 'text/xml; charset=utf-8', 'x-forwarded-for': client },
        body:
          key === undefined
            ? body
            : Buffer.from(
                withSessionId(xml, () => sid.join('-')),
                'latin1',
              ),
      }
      const settleSession = key === undefined ? takeSession(address) : () => {}
      try {
        const answer = await agent.request(call)
        reply.code(answer.statusCode).header('content-type', answer.headers['content-type'])
        const named = namingServer(answer.body, xmppServers.keyOf(server), settleSession)
        // Also of a client that has left: what it began is there.
        const head = await named.next()
        const whole = Readable.from(joined(head, named), { objectMode: false })
        return reply.send(whole.once('close', () => void named.return(undefined)))
      } catch (error) {
        settleSession(false)
        if (isClosing || key === undefined || (await xmppServers.isLiving(server))) throw error
        return terminate(reply, 'remote-connection-failed')
      }
    } finally {
      waiting.release(address)
    }
  }

  /**
   * Counts a session that may begin, and is to be told whether it did. Each costs the XMPP server memory for a while, whether or
   * not anybody logs in.
   */
  function takeSession(address: string): (isBegun: boolean) => void {
    if (begun.take(address)) throw new ContractError('RateLimited', { args: [5], retryAfter: 5 })
    return (isBegun) => {
      if (isBegun) setTimeout(() => begun.release(address), sessionLife).unref()
      else begun.release(address)
    }
  }

  app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => refuse(reply, error))
    // Waiting polls are answered with 503. The clients come back through another gateway, and their sessions go on.
    scope.addHook('preClose', () => {
      isClosing = true
      return agent.destroy()
    })
    scope.post('/http-bind', carry)
  })
}

/** The answer of a server, with its key put before the session id. Tells with its first part whether there is one. */
async function* namingServer(
  answer: AsyncIterable<Buffer>,
  key: string,
  tell: (hasSession: boolean) => void,
): AsyncGenerator<Buffer> {
  let head: string | undefined = ''
  let hasSession = false
  const nameServer = (sid: string) => {
    hasSession = true
    return `${key}-${sid}`
  }
  for await (const chunk of answer) {
    if (head === undefined) {
      yield chunk
      continue
    }
    head += chunk.toString('latin1')
    if (!hasStartTag(head) && head.length < longestTag) continue
    const named = Buffer.from(withSessionId(head, nameServer), 'latin1')
    head = undefined
    tell(hasSession)
    yield named
  }
  if (head === undefined) return
  tell(false)
  yield Buffer.from(head, 'latin1')
}

async function* joined(first: IteratorResult<Buffer>, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (!first.done) yield first.value
  yield* rest
}

/** Ends a session (XEP-0124 §17.2). Clients begin a new one, as after the loss of a connection. */
function terminate(
  reply: FastifyReply,
  condition: 'bad-request' | 'item-not-found' | 'remote-connection-failed',
): FastifyReply {
  reply.header('content-type', 'text/xml; charset=utf-8')
  return reply.send(`<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='${condition}'/>`)
}

const unavailable = (reply: FastifyReply) => reply.code(503).header('retry-after', '5').send('')

const statuses: Partial<Record<string, number>> = { RequestTooLarge: 413, RateLimited: 429 }

function refuse(reply: FastifyReply, error: unknown): FastifyReply {
  const status = error instanceof ContractError && statuses[error.errorName]
  if (status) return reply.code(status).header('retry-after', '5').send('')
  // What Fastify does not take, such as a content type that is none.
  const { statusCode = 500 } = error as { statusCode?: number }
  return statusCode < 500 ? reply.code(statusCode).send('') : unavailable(reply)
}
