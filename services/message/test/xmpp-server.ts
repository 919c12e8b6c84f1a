import { createHash, randomBytes } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { eventually } from '@im/service-kit/testing'
import type { Element } from '@xmpp/component'
import xmppXml from '@xmpp/xml'
import { frameNamespace, frameVersion } from '../src/feed/frame-namespace.ts'
import { escapeAttribute, escapeText } from '../src/stanzas/xml-text.ts'

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
  to: string | number
  body?: object | string
  id?: string
  type?: string
  receipt?: boolean
  stamp?: number
}

/** A stanza as the client of a stream got it. */
export interface Received {
  /** Number of the delivery; undefined for what is never confirmed. */
  number: number | undefined
  xml: string
  stanza: Element
}

interface StreamOptions {
  resource?: string
  login?: string
  /** Undefined: unavailable. */
  priority?: number | undefined
  carbons?: boolean
  confirms?: 'sm' | 'ack' | 'write'
  since?: number
  /** Confirms each delivery when it comes, as a client with a good connection does. Default true. */
  confirming?: boolean
}

/** A stream of a client on the pretended server, and what its client sees. */
export class ClientStream {
  readonly id: string
  readonly user: number
  readonly resource: string
  readonly received: Received[] = []
  state: Required<Omit<StreamOptions, 'resource' | 'priority'>> & { priority: number | undefined }
  waiting = false
  delivered = 0
  confirmed = 0
  closedWith: string | undefined
  notes = new Map<string, string>()
  readonly #server: XmppServer

  constructor(server: XmppServer, id: string, user: number, options: StreamOptions) {
    this.#server = server
    this.id = id
    this.user = user
    this.resource = options.resource ?? 'android'
    this.state = {
      login: `t:${id}`,
      carbons: false,
      confirms: 'sm',
      since: Date.now(),
      confirming: true,
      ...options,
      priority: 'priority' in options ? options.priority : 0,
    }
  }

  get jid(): string {
    return `${this.user}@${domain}/${this.resource}`
  }

  /** Sends a message; gives its id. */
  say(message: SentMessage): string {
    const id = message.id ?? randomBytes(16).toString('hex')
    const to = String(message.to).includes('@') ? String(message.to) : `${message.to}@${domain}`
    const text =
      typeof message.body === 'string'
        ? message.body
        : JSON.stringify({ type: 1, messageId: id, fromUserId: String(this.user), content: 'hi', ...message.body })
    const request = message.receipt === false ? '' : `<request xmlns='urn:xmpp:receipts'/>`
    this.send(
      `<message xmlns='jabber:client' id='${escapeAttribute(id)}' type='${message.type ?? 'chat'}' to='${escapeAttribute(to)}'><body>${escapeText(text)}</body>${request}</message>`,
      message.stamp,
    )
    return id
  }

  /** Sends a whole stanza, as the server has parsed it. */
  send(xml: string, stamp?: number): void {
    this.#server.append(this, xml, stamp)
  }

  set(changes: Partial<StreamOptions>): void {
    this.state = { ...this.state, ...changes }
    this.#server.tellStream(this)
  }

  /** Its connection is gone, and may be resumed. */
  sleep(): void {
    this.waiting = true
    this.state.confirming = false
    this.#server.tellStream(this)
  }

  wake(changes: Pick<StreamOptions, 'login'> = {}): void {
    this.waiting = false
    this.state = { ...this.state, ...changes, confirming: true }
    this.#server.tellStream(this)
    this.confirm()
  }

  /** Confirms what was delivered, or less. */
  confirm(upTo = this.delivered): void {
    if (upTo <= this.confirmed) return
    this.confirmed = upTo
    this.#server.tell(`<confirmed xmlns='${frameNamespace}' to='${this.id}:${upTo}'/>`)
  }

  /** `missed`: ids of what was said in rooms that its client has not confirmed. */
  end(missed: readonly string[] = []): void {
    this.#server.endStream(this, missed)
  }

  /** Messages with a body, without copies of one id when `once`. */
  get messages(): { id: string; from: string; body: string; content: unknown; isDelayed: boolean; stanza: Element }[] {
    return this.received.flatMap(({ stanza }) => {
      const body = stanza.getChildText('body')
      if (stanza.name !== 'message' || body === null) return []
      return [
        {
          id: stanza.attrs['id'] ?? '',
          from: stanza.attrs['from'] ?? '',
          body,
          content: contentIn(body),
          isDelayed: stanza.getChild('delay', 'urn:xmpp:delay') !== undefined,
          stanza,
        },
      ]
    })
  }

  /** Ids that the service confirmed as stored, in their order. */
  get receipts(): string[] {
    return this.received.flatMap(({ stanza }) => {
      const receipt = stanza.getChild('received', 'urn:xmpp:receipts')
      return receipt?.attrs['status'] === '1' ? [receipt.attrs['id'] ?? ''] : []
    })
  }

  /** Condition of each refusal, by the id of its message. */
  get refusals(): Map<string, string> {
    return new Map(
      this.received.flatMap(({ stanza }) => {
        if (stanza.attrs['type'] !== 'error') return []
        return [[stanza.attrs['id'] ?? '', stanza.getChild('error')?.getChildElements()[0]?.name ?? ''] as const]
      }),
    )
  }

  contents(): unknown[] {
    return this.messages.map(({ content }) => content)
  }
}

function contentIn(body: string): unknown {
  try {
    return JSON.parse(body).content
  } catch {
    return undefined
  }
}

interface LogEntry {
  seq: number
  xml: string
}

/** Characters of a stanza of the service. A longer one ends the connection, as it does in Prosody. */
const longestStanza = 1024 * 1024

let servers = 0

/**
 * Stands for an XMPP server towards the message service and keeps to the page of protocol in deploy/xmpp/README.md: the log
 * with its window and two marks, streams, numbered deliveries and their confirmations; the newest connection wins. The log and
 * the streams outlive connections, as those of the real one do.
 */
export class XmppServer {
  readonly name = `xmpp-${++servers}`
  log = randomBytes(16).toString('hex')
  readonly streams = new Map<string, ClientStream>()
  readonly closeOrders: Record<string, string | undefined>[] = []
  /** Decides how an order to close streams is answered; default: done. */
  onOrder: (order: Element) => 'result' | 'error' | 'silence' = () => 'result'
  /** False: pings stay without an answer, so nobody hears that frames were taken. */
  answersPings = true
  #unanswered: (() => void)[] = []
  /** False: who had the connection before does not hear that it is replaced, as when the network loses that. */
  tellsReplaced = true
  #tellReplaced = () => {}
  #isOutOfReach = false
  /** Called with each frame the service wrote, before it counts. */
  onFrame: (frame: Element) => void = () => {}
  /** Of its frames. */
  version = frameVersion
  window = 512
  stored = 0
  released = 0
  connections = 0
  /** Handshakes with a wrong secret. */
  refusals = 0
  /** A condition with which it refuses all connections. */
  refuseWith: string | undefined
  #epoch = Date.now()
  #last = 0
  #stamp = 0
  #entries: LogEntry[] = []
  #sent = 0
  #nextStream = 1
  #socket: Socket | undefined
  readonly #sockets = new Set<Socket>()
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
    return this.#last
  }

  /** A client logs in. */
  connect(user: number, options: StreamOptions = {}): ClientStream {
    const stream = new ClientStream(this, `s${this.#nextStream++}`, user, options)
    this.streams.set(stream.id, stream)
    this.tellStream(stream)
    return stream
  }

  /** A message of a user who is not available otherwise; gives its id. */
  say({ from, resource = 'android', ...message }: SentMessage & { from: number; resource?: string }): string {
    const stream =
      [...this.streams.values()].find((known) => known.user === from && known.resource === resource) ??
      this.connect(from, { resource, priority: undefined })
    return stream.say(message)
  }

  tellStream(stream: ClientStream): void {
    if (this.streams.has(stream.id)) this.tell(this.#streamFrame(stream))
  }

  endStream(stream: ClientStream, missed: readonly string[] = []): void {
    this.streams.delete(stream.id)
    const { id, user, resource, confirmed } = stream
    const ids = missed.length ? ` missed='${escapeAttribute(missed.join(' '))}'` : ''
    this.tell(
      `<stream-end xmlns='${frameNamespace}' id='${id}' user='${user}' resource='${resource}' confirmed='${confirmed}'${ids}/>`,
    )
  }

  append(stream: ClientStream, stanza: string, stamp = Date.now()): void {
    this.#stamp = Math.max(this.#stamp, stamp)
    const seq = ++this.#last
    const xml = `<entry xmlns='${frameNamespace}' seq='${seq}' stamp='${this.#stamp}' stream='${stream.id}' from='${escapeAttribute(stream.jid)}'>${stanza}</entry>`
    this.#entries.push({ seq, xml })
    this.#pump()
  }

  /** Answers the pings that waited, and those to come. */
  answerPings(): void {
    this.answersPings = true
    for (const answer of this.#unanswered.splice(0)) answer()
  }

  /** What had the connection before hears of it now. */
  tellReplaced(): void {
    this.tellsReplaced = true
    this.#tellReplaced()
  }

  /** Damage on the disk: the last `count` entries can't be read any more. */
  damage(count: number): void {
    const from = this.#last - count + 1
    const hole = `<hole xmlns='${frameNamespace}' from='${from}' to='${this.#last}'/>`
    this.#entries = this.#entries.filter(({ seq }) => seq < from)
    this.#entries.push({ seq: this.#last, xml: hole })
  }

  /** Sends frames as they are. */
  tell(frames: string): void {
    this.raw(`<message from='${domain}' to='api.${domain}'>${frames}</message>`)
  }

  raw(xml: string | Uint8Array): void {
    this.#socket?.write(xml)
  }

  /** Cuts the connection as a crash of the network would. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#socket = undefined
  }

  /** Cuts the connection at a frame, and reads neither that nor what came behind it. Resolves when there is a new one. */
  async cutAt(matches: (frame: Element) => boolean): Promise<void> {
    const before = this.#epoch
    let isCut = false
    this.onFrame = (frame) => {
      if (!isCut && matches(frame)) {
        isCut = true
        this.cut()
      }
      if (isCut && this.#epoch === before) frame.name = 'lost'
    }
    await eventually(() => this.#epoch > before)
    this.onFrame = () => {}
  }

  /** The server is killed: its streams are gone, its log is there. */
  crash(): void {
    this.cut()
    this.streams.clear()
  }

  /** Nobody reaches it, as while a network is cut; its streams live on. */
  refuseConnections(): { end(): void } {
    this.#isOutOfReach = true
    this.cut()
    return {
      end: () => {
        this.#isOutOfReach = false
      },
    }
  }

  /** Resolves when everything in the log was released. */
  async drained(deadline = 20_000): Promise<void> {
    await eventually(() => this.connected && this.released === this.#last, deadline)
  }

  async close(): Promise<void> {
    this.#server.close()
    this.cut()
  }

  #streamFrame({ id, user, resource, state, waiting, delivered, confirmed, notes }: ClientStream): string {
    const { login, priority, carbons, confirms, since } = state
    const noteFrames = [...notes]
      .map(([name, value]) => `<note name='${escapeAttribute(name)}' value='${escapeAttribute(value)}'/>`)
      .join('')
    return (
      `<stream xmlns='${frameNamespace}' id='${id}' user='${user}' resource='${escapeAttribute(resource)}' login='${login}' since='${since}'` +
      `${priority === undefined ? '' : ` priority='${priority}'`}${carbons ? ` carbons='1'` : ''} confirms='${confirms}'` +
      `${waiting ? ` waiting='1'` : ''} delivered='${delivered}' confirmed='${confirmed}' ip='127.0.0.1'>${noteFrames}</stream>`
    )
  }

  #accept(socket: Socket): void {
    if (this.#isOutOfReach) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
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
    let length = 0
    parser.on('element', (element: Element) => {
      length = 0
      if (element.name === 'handshake') return this.#authenticate(socket, streamId, element)
      if (this.#socket === socket) this.#receive(socket, element)
    })
    parser.on('end', () => socket.end('</stream:stream>'))
    parser.on('error', () => socket.destroy())
    socket.on('data', (data) => {
      length += data.length
      if (length > longestStanza) socket.destroy()
      else parser.write(String(data))
    })
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (this.#socket === socket) this.#socket = undefined
    })
  }

  #authenticate(socket: Socket, streamId: string, element: Element): void {
    const expected = createHash('sha1')
      .update(streamId + secret)
      .digest('hex')
    const isHere = element.text() === expected
    if (!isHere || this.refuseWith) {
      this.refusals++
      const condition = isHere ? this.refuseWith : 'not-authorized'
      socket.end(
        `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
      )
      return
    }
    const before = this.#socket
    this.#tellReplaced = () => {
      before?.end(
        `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
      )
      this.#tellReplaced = () => {}
    }
    if (this.tellsReplaced) this.#tellReplaced()
    this.#socket = socket
    this.connections++
    this.#epoch = Math.max(this.#epoch + 1, Date.now())
    this.#sent = this.released
    this.stored = this.released
    const hello = `<hello xmlns='urn:yingchuang:im:${this.version}' version='${this.version}' server='${this.name}' log='${this.log}' epoch='${this.#epoch}' released='${this.released}' stored='${this.stored}' last='${this.#last}' window='${this.window}'/>`
    const streams = [...this.streams.values()].map((stream) => this.#streamFrame(stream)).join('')
    // In one write with the answer of the handshake, as a busy server does.
    socket.write(
      `<handshake/><message from='${domain}' to='api.${domain}'>${hello}${streams}<ready xmlns='${frameNamespace}'/></message>${this.#pending()}`,
    )
  }

  #pending(): string {
    let xml = ''
    for (const entry of this.#entries) {
      if (entry.seq <= this.#sent) continue
      if (entry.seq > this.stored + this.window) break
      xml += `<message from='${domain}' to='api.${domain}'>${entry.xml}</message>`
      this.#sent = entry.seq
    }
    return xml
  }

  #pump(): void {
    const xml = this.#socket && this.#pending()
    if (xml) this.#socket?.write(xml)
  }

  #receive(socket: Socket, element: Element): void {
    if (element.name === 'iq') {
      this.#order(socket, element)
      return
    }
    for (const frame of element.getChildElements()) {
      if (frame.attrs['xmlns'] !== frameNamespace) continue
      this.onFrame(frame)
      this.#obey(frame)
    }
  }

  #obey({ name, attrs, ...frame }: Element): void {
    const seq = Number(attrs['seq'])
    if (name === 'stored' && Number(attrs['epoch']) === this.#epoch) {
      this.stored = Math.max(this.stored, seq)
      this.#pump()
    } else if (name === 'released' && Number(attrs['epoch']) === this.#epoch) {
      this.released = Math.max(this.released, seq)
      this.#entries = this.#entries.filter((entry) => entry.seq > this.released)
    } else if (name === 'deliver') {
      const text = frame.children.join('')
      for (const target of (attrs['to'] ?? '').split(' ')) this.#deliver(target, attrs['name'] ?? '', text)
    } else if (name === 'note') {
      for (const id of (attrs['to'] ?? '').split(' ')) {
        const stream = this.streams.get(id)
        if (attrs['value'] === undefined) stream?.notes.delete(attrs['name'] ?? '')
        else stream?.notes.set(attrs['name'] ?? '', attrs['value'])
      }
    }
  }

  #deliver(target: string, name: string, text: string): void {
    const [id = '', numberText] = target.split(':')
    const stream = this.streams.get(id)
    if (!stream) return
    const number = numberText === undefined ? undefined : Number(numberText)
    if (number !== undefined) {
      if (number <= stream.delivered) return
      if (number !== stream.delivered + 1) throw new Error(`delivery ${number} after ${stream.delivered}`)
      stream.delivered = number
    }
    const xml = `<${name} to='${escapeAttribute(stream.jid)}' ${text}`
    stream.received.push({ number, xml, stanza: parseStanza(xml) })
    if (number !== undefined && stream.state.confirming && !stream.waiting) stream.confirm()
  }

  #order(socket: Socket, iq: Element): void {
    const order = iq.getChildElements()[0]!
    let outcome: 'result' | 'error' | 'silence' = 'result'
    if (order.name === 'close-streams') {
      outcome = this.onOrder(order)
      if (outcome !== 'error') this.closeOrders.push(order.attrs)
      if (outcome === 'result') this.#closeStreams(order.attrs)
    }
    const attributes = `id='${iq.attrs['id']}' from='${domain}' to='api.${domain}'`
    if (order.name === 'ping' && !this.answersPings) {
      this.#unanswered.push(() => socket.write(`<iq type='result' ${attributes}/>`))
      return
    }
    if (outcome === 'result') socket.write(`<iq type='result' ${attributes}/>`)
    if (outcome === 'error')
      socket.write(
        `<iq type='error' ${attributes}><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
      )
  }

  #closeStreams({ user, logins, id, condition }: Element['attrs']): void {
    for (const stream of [...this.streams.values()]) {
      if (stream.user !== Number(user)) continue
      if (logins !== undefined && !logins.split(' ').includes(stream.state.login)) continue
      if (id !== undefined && !id.split(' ').includes(stream.id)) continue
      stream.closedWith = condition
      this.endStream(stream)
    }
  }
}
