import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Logger } from '@im/service-kit'

const webSocketPath = /^\/+xmpp-websocket\/?(?:\?|$)/

/** Only this path may switch protocols; an Upgrade header anywhere else is ignored. */
export const mayUpgrade = (request: IncomingMessage) =>
  webSocketPath.test(request.url ?? '') && request.headers.upgrade?.toLowerCase() === 'websocket'

/** Carries XMPP WebSockets (RFC 7395) to the XMPP server, bytes untouched, and ends them with the gateway. */
export class WebSocketTunnels {
  readonly #upstream: string
  readonly #addressOf: (request: IncomingMessage) => string
  readonly #log: Logger
  readonly #open = new Set<Duplex>()

  constructor(options: { url: string; addressOf: (request: IncomingMessage) => string; log: Logger }) {
    this.#upstream = new URL('/xmpp-websocket', options.url).href
    this.#addressOf = options.addressOf
    this.#log = options.log
  }

  /** Takes an `upgrade` event of the HTTP server. */
  carry(request: IncomingMessage, client: Duplex, head: Buffer): void {
    client.on('error', () => {})
    const outgoing = httpRequest(this.#upstream, { agent: false, headers: this.#headers(request), timeout: 5000 })
    outgoing.on('upgrade', (answer, server, first) => {
      server.setTimeout(0)
      server.setNoDelay(true)
      client.write(`HTTP/1.1 101 Switching Protocols\r\n${headLines(answer.rawHeaders)}\r\n\r\n`)
      if (first.length) client.write(first)
      if (head.length) server.write(head)
      this.#join(client, server)
    })
    outgoing.on('response', (answer) => {
      answer.resume()
      refuse(client, `${answer.statusCode} ${answer.statusMessage}`)
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', (error) => {
      this.#log.warn({ err: error }, 'the XMPP server does not take a WebSocket')
      refuse(client, '503 Service Unavailable')
    })
    client.once('close', () => outgoing.destroy())
    outgoing.end()
  }

  close(): void {
    for (const client of this.#open) client.destroy()
  }

  #headers(request: IncomingMessage): Record<string, string> {
    const headers: Record<string, string> = { connection: 'Upgrade', upgrade: 'websocket' }
    for (const [name, value] of Object.entries(request.headers))
      if (typeof value === 'string' && (name.startsWith('sec-websocket-') || name === 'origin')) headers[name] = value
    headers['x-forwarded-for'] = this.#addressOf(request)
    return headers
  }

  #join(client: Duplex, server: Duplex): void {
    this.#open.add(client)
    Promise.all([pipeline(client, server), pipeline(server, client)])
      .catch(() => {})
      .finally(() => {
        this.#open.delete(client)
        client.destroy()
        server.destroy()
      })
  }
}

function headLines(raw: readonly string[]): string {
  const lines: string[] = []
  for (let index = 0; index < raw.length; index += 2) lines.push(`${raw[index]}: ${raw[index + 1]}`)
  return lines.join('\r\n')
}

function refuse(client: Duplex, status: string): void {
  if (client.writable) client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
}
