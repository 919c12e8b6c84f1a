import { createHash, randomBytes } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { eventually } from '@im/service-kit/testing'
import type { Element } from '@xmpp/component'
import xmppXml from '@xmpp/xml'
import { escapeXml } from '../src/tap/escape-xml.ts'

const { Parser } = xmppXml as unknown as { Parser: new () => EventEmitter & { write(text: string): void } }

/** One stanza, read as a stream's. */
export function parseStanza(text: string): Element {
  const parser = new Parser()
  let found: Element | undefined
  parser.on('element', (element: Element) => {
    found = element
  })
  parser.write(`<stream>${text}`)
  if (!found) throw new Error(`no stanza: ${text}`)
  return found
}

export const domain = 'im.localhost'
export const secret = 'test-component-secret'

export interface SentMessage {
  from: number
  to: string
  body?: object | string
  id?: string
  type?: string
  receipt?: boolean
  resource?: string
  stamp?: number
  /** Whole stanza instead of the parts above. */
  xml?: string
}

interface Entry {
  seq: number
  xml: string
}

/**
 * Stands for the XMPP server towards the message service: XEP-0114 handshake, the log of messages with its window and
 * cumulative acknowledgements, presence, and answers to orders. It keeps the log over connections, as the real one does.
 */
export class XmppServer {
  readonly log = randomBytes(8).toString('hex')
  readonly receipts: { id: string; from: string; to: string; status: string }[] = []
  readonly orders: Element[] = []
  /** Decides how an order is answered; default: taken. */
  onOrder: (order: Element) => 'result' | 'error' | 'silence' = () => 'result'
  online: { user: number; resource: string }[] = []
  window = 512
  acked = 0
  connections = 0
  #entries: Entry[] = []
  #sent = 0
  #socket: Socket | undefined
  readonly #server: Server

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket))
  }

  static async start(): Promise<XmppServer> {
    const server = new XmppServer()
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get url(): string {
    return `xmpp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get connected(): boolean {
    return this.#socket !== undefined
  }

  get last(): number {
    return this.#entries.at(-1)?.seq ?? this.acked
  }

  /** Appends a client's message to the log and sends what the window allows. Returns its messageId. */
  say(message: SentMessage): string {
    const id = message.id ?? randomBytes(16).toString('hex')
    const resource = message.resource ?? 'android'
    const sender = `${message.from}@${domain}/${resource}`
    const to = message.to.includes('@') ? message.to : `${message.to}@${domain}`
    const text =
      typeof message.body === 'string'
        ? message.body
        : JSON.stringify({ type: 1, messageId: id, fromUserId: String(message.from), content: 'hi', ...message.body })
    const stanza =
      message.xml ??
      `<message xmlns='jabber:client' id='${id}' type='${message.type ?? 'chat'}' from='${sender}' to='${to}'><body>${escapeXml(text)}</body>` +
        `${message.receipt === false ? '' : "<request xmlns='urn:xmpp:receipts'/>"}</message>`
    this.append(sender, message.stamp ?? Date.now(), stanza)
    return id
  }

  append(sender: string, stamp: number, stanza: string): void {
    const seq = this.last + 1
    const xml =
      `<message from='${domain}' to='api.${domain}'><tap xmlns='urn:yingchuang:im:1' seq='${seq}' stamp='${stamp}' sender='${sender}'>` +
      `<forwarded xmlns='urn:xmpp:forward:0'>${stanza}</forwarded></tap></message>`
    this.#entries.push({ seq, xml })
    this.#pump()
  }

  presence(user: number, resource: string, online: boolean): void {
    this.raw(
      `<message from='${domain}' to='api.${domain}'><presence xmlns='urn:yingchuang:im:1' user='${user}' resource='${resource}' online='${online ? 1 : 0}' stamp='${Date.now()}'/></message>`,
    )
  }

  raw(xml: string | Uint8Array): void {
    this.#socket?.write(xml)
  }

  /** Cuts the connection as a crash would. */
  cut(): void {
    this.#socket?.destroy()
    this.#socket = undefined
  }

  /** Resolves when everything in the log was acknowledged. */
  async drained(deadline = 20_000): Promise<void> {
    await eventually(() => this.acked === this.last && this.connected, deadline)
  }

  async close(): Promise<void> {
    this.cut()
    this.#server.close()
  }

  #accept(socket: Socket): void {
    socket.setEncoding('utf8')
    socket.setNoDelay(true)
    socket.on('error', () => {})
    const streamId = randomBytes(6).toString('hex')
    const parser = new Parser()
    parser.on('start', () =>
      socket.write(
        `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='api.${domain}' id='${streamId}'>`,
      ),
    )
    parser.on('element', (element: Element) => {
      if (element.name === 'handshake') return this.#authenticate(socket, streamId, element)
      if (this.#socket === socket) this.#receive(socket, element)
    })
    parser.on('end', () => socket.end('</stream:stream>'))
    parser.on('error', () => socket.destroy())
    socket.on('data', (data) => parser.write(String(data)))
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined
    })
  }

  #authenticate(socket: Socket, streamId: string, element: Element): void {
    const expected = createHash('sha1')
      .update(streamId + secret)
      .digest('hex')
    if (element.text() !== expected || this.#socket) {
      socket.end(
        `<stream:error><${this.#socket ? 'conflict' : 'not-authorized'} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
      )
      return
    }
    this.#socket = socket
    this.connections++
    this.#sent = this.acked
    const resources = this.online
      .map(({ user, resource }) => `<resource user='${user}' resource='${resource}'/>`)
      .join('')
    // In one write with the answer of the handshake, as a busy server does.
    socket.write(
      `<handshake/><message from='${domain}' to='api.${domain}'><tap-start xmlns='urn:yingchuang:im:1' log='${this.log}' acked='${this.acked}' last='${this.last}'/></message>` +
        `<message from='${domain}' to='api.${domain}'><presence-snapshot xmlns='urn:yingchuang:im:1' complete='1'>${resources}</presence-snapshot></message>` +
        this.#pending(),
    )
  }

  #pending(): string {
    let xml = ''
    const first = this.#entries.findIndex(({ seq }) => seq > this.#sent)
    if (first < 0) return ''
    for (let i = first; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!
      if (entry.seq > this.acked + this.window) break
      xml += entry.xml
      this.#sent = entry.seq
    }
    return xml
  }

  #pump(): void {
    if (!this.#socket) return
    const xml = this.#pending()
    if (xml) this.#socket.write(xml)
  }

  #receive(socket: Socket, element: Element): void {
    if (element.name === 'iq') {
      const order = element.getChildElements()[0]!
      let outcome: 'result' | 'error' | 'silence' = 'result'
      if (order.name !== 'ping') {
        outcome = this.onOrder(order)
        if (outcome !== 'error') this.orders.push(order)
      }
      const attributes = `id='${element.attrs['id']}' from='${domain}' to='api.${domain}'`
      if (outcome === 'result') socket.write(`<iq type='result' ${attributes}/>`)
      if (outcome === 'error')
        socket.write(
          `<iq type='error' ${attributes}><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
        )
      return
    }
    const ack = element.getChild('ack', 'urn:yingchuang:im:1')
    if (ack) {
      const seq = Number(ack.attrs['seq'])
      if (seq > this.acked && seq <= this.last) this.acked = seq
      this.#entries = this.#entries.filter((entry) => entry.seq > this.acked || entry.seq === this.last)
      this.#pump()
      return
    }
    const receipt = element.getChild('received', 'urn:xmpp:receipts')
    if (receipt)
      this.receipts.push({
        id: receipt.attrs['id'] ?? '',
        status: receipt.attrs['status'] ?? '',
        from: element.attrs['from'] ?? '',
        to: element.attrs['to'] ?? '',
      })
  }
}
