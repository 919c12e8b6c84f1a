import type { IncomingMessage } from 'node:http'
import httpProxy from '@fastify/http-proxy'
import { limitAddress } from '@im/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { clientAddress } from '../client-address.ts'
import type { Deps } from '../deps.ts'
import { AddressBudget } from '../limits/address-budget.ts'

const path = '/xmpp-websocket'
const pathForm = /^\/+xmpp-websocket\/?(?:\?|$)/

/** Only the XMPP path may be upgraded; an Upgrade header elsewhere is ignored (RFC 9110 §7.8). */
export const mayUpgrade = (request: IncomingMessage) =>
  pathForm.test(request.url ?? '') && request.headers.upgrade?.toLowerCase() === 'websocket'

/** Whether Node took the connection out of its HTTP. It knows that and leaves it out of its types. */
const isUpgrade = (request: IncomingMessage & { upgrade?: boolean }) => request.upgrade === true

/** In bytes. The XMPP server takes stanzas of 256 KiB, and itself refuses longer ones. */
const maxPayload = 1024 * 1024
/** When so many bytes wait to be sent to one side, the other side is not read. */
const maxWaiting = 256 * 1024
/** Milliseconds a client has to confirm the end of its WebSocket. */
const closeTimeout = 2000

/** Proxies XMPP over WebSocket (RFC 7395) to one of the XMPP servers. The connections end with the gateway. */
export function addWebSocket(app: FastifyInstance, { config, xmppServers }: Deps): void {
  const { maxConnections, maxXmppPerAddress, serviceTimeoutMs } = config
  const open = new AddressBudget({ most: maxConnections, mostOfAddress: maxXmppPerAddress })
  const reached = new WeakSet<object>()
  const serverOf = new WeakMap<object, string>()

  /** The connection of a WebSocket carries nothing else, so it counts until it is closed. */
  async function takeSocket(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!isUpgrade(request.raw)) return void reply.code(426).header('upgrade', 'websocket').send('')
    const address = limitAddress(clientAddress(request))
    if (open.take(address)) return void reply.code(429).header('retry-after', '5').send('')
    request.raw.socket.once('close', () => open.release(address))
    const server = await xmppServers.findLiving()
    if (!server) return void reply.code(503).header('retry-after', '5').send('')
    serverOf.set(request.raw, server)
  }

  const wsServerOptions = { maxPayload, closeTimeout }
  const wsClientOptions = {
    maxPayload,
    closeTimeout,
    perMessageDeflate: false,
    handshakeTimeout: serviceTimeoutMs,
    rewriteRequestHeaders: (_headers: object, request: FastifyRequest) => ({
      'x-forwarded-for': clientAddress(request),
    }),
  }

  app.register(async (scope) => {
    await scope.register(httpProxy, {
      upstream: '',
      replyOptions: { getUpstream: (request) => serverOf.get(request.raw) ?? '' },
      prefix: path,
      rewritePrefix: path,
      routes: ['/'],
      httpMethods: ['GET'],
      disableRequestLogging: true,
      preHandler: takeSocket,
      websocket: true,
      wsServerOptions,
      wsClientOptions,
      wsHooks: {
        onConnect: (context) => void reached.add(context),
        onDisconnect(context, client) {
          // Otherwise the client would get the reason why the XMPP server can't be reached, with internal addresses.
          if (!reached.has(context)) client.close(1013)
        },
        onIncomingMessage: (_context, client, server) => awaitRoom(client, server),
        onOutgoingMessage: (_context, client, server) => awaitRoom(server, client),
      },
    })
  })
}

/** Stops reading from one side while the other is not open yet, or does not read what it was sent. */
function awaitRoom(from: WebSocket, to: WebSocket): void {
  const isFull = () => to.readyState === to.CONNECTING || (to.readyState === to.OPEN && to.bufferedAmount > maxWaiting)
  if (from.isPaused || !isFull()) return
  from.pause()
  const look = setInterval(() => {
    if (isFull()) return
    clearInterval(look)
    from.resume()
  }, 20)
}
