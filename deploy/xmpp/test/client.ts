/** A client that does nothing by itself: each acknowledgement, resumption and confirmation is written by the test. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Element, Parser } from '@xmpp/xml'
import { eventually, within } from './eventually.ts'
import { type Prosody, passwordOf } from './prosody.ts'

export const alice = '10000001'
export const bob = '10000002'
export const carol = '10000003'

export const sm = 'urn:xmpp:sm:3'
const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
const binding = 'urn:ietf:params:xml:ns:xmpp-bind'

let lastId = 0
export const newId = () => (++lastId).toString(16).padStart(32, '0')

const references: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '\r': '&#13;',
  '\n': '&#10;',
  '\t': '&#9;',
}
export const textXml = (text: string) => text.replace(/[&<>\r]/g, (c) => references[c]!)
export const attributeXml = (text: string) => text.replace(/[&<>'\r\n\t]/g, (c) => references[c]!)

/** A text message of the apps; its id is the message's. */
export function messageXml(to: string, content: string, { id = newId(), type = 'chat' } = {}): string {
  const body = JSON.stringify({ type: 1, messageId: id, content, timeSend: 1 })
  return `<message id='${id}' type='${type}' to='${attributeXml(to)}'><body>${textXml(body)}</body></message>`
}

export const contentOf = (stanza: Element): string => JSON.parse(stanza.getChildText('body') ?? '{}').content

const header = (domain: string) =>
  `<stream:stream to='${domain}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

export const plainSecret = (user: string, password: string) => Buffer.from(`\0${user}\0${password}`).toString('base64')

export class Client {
  readonly user: string
  readonly prosody: Prosody
  /** All elements received on this connection after the login, and how many stanzas are among them. */
  elements: Element[] = []
  received = 0
  /** Answers each <r/> at once. */
  answers = false
  closed = false
  jid = ''
  /** Id to resume with. */
  id = ''
  socket!: Socket
  /** Called with each element as it comes; what is not kept costs no memory. */
  onElement: ((element: Element) => void) | undefined
  #features = 0
  #parser = new Parser()

  constructor(prosody: Prosody, user: string) {
    this.prosody = prosody
    this.user = user
  }

  get bare(): string {
    return `${this.user}@${this.prosody.domain}`
  }

  write(xml: string): void {
    this.socket.write(xml)
  }

  send(to: string, content: string, options?: { id?: string; type?: string }): void {
    this.write(messageXml(/^\d+$/.test(to) ? `${to}@${this.prosody.domain}` : to, content, options))
  }

  async connect(): Promise<this> {
    this.socket = connect(this.prosody.port, '127.0.0.1')
    this.socket.setNoDelay(true)
    this.socket.setEncoding('utf8')
    this.socket.on('data', (chunk: unknown) => this.#parser.write(String(chunk)))
    this.socket.on('close', () => (this.closed = true))
    this.socket.on('error', () => {})
    await this.#open()
    return this
  }

  /** The answer to a login. */
  async authenticate(password = passwordOf(this.user), user = this.user): Promise<Element> {
    const before = this.elements.length
    this.write(`<auth xmlns='${sasl}' mechanism='PLAIN'>${plainSecret(user, password)}</auth>`)
    return eventually(() => this.elements.slice(before).find((element) => element.attrs['xmlns'] === sasl), 20_000)
  }

  async login(password?: string): Promise<this> {
    await this.connect()
    const answer = await this.authenticate(password)
    if (answer.name !== 'success') throw new Error(`login failed: ${answer}`)
    await this.#open()
    return this
  }

  async bind(resource = 'android'): Promise<this> {
    const answer = await this.ask(
      `<iq type='set'><bind xmlns='${binding}'><resource>${resource}</resource></bind></iq>`,
    )
    this.jid = answer.getChild('bind')?.getChildText('jid') ?? ''
    if (!this.jid) throw new Error(`binding failed: ${answer}`)
    this.elements = []
    this.received = 0
    return this
  }

  /** Turns XEP-0198 on. */
  async manage({ resume = true } = {}): Promise<this> {
    this.write(`<enable xmlns='${sm}'${resume ? " resume='true'" : ''}/>`)
    const enabled = await this.element('enabled')
    this.id = enabled.attrs['id'] ?? ''
    this.elements = []
    this.received = 0
    return this
  }

  async available(priority = 0): Promise<this> {
    const before = this.elements.length
    this.write(`<presence><priority>${priority}</priority></presence>`)
    await eventually(() =>
      this.elements.slice(before).some((e) => e.name === 'presence' && e.attrs['from'] === this.jid),
    )
    return this
  }

  /** Logs in and asks to go on with the lost stream of `before`; the answer. */
  async resume(before: Client, h = before.received, password?: string): Promise<Element> {
    await this.login(password)
    this.elements = []
    this.received = 0
    this.write(`<resume xmlns='${sm}' previd='${before.id}' h='${h}'/>`)
    const answer = await eventually(() => this.elements.find((e) => e.name === 'resumed' || e.name === 'failed'))
    this.id = before.id
    this.jid = before.jid
    this.received += h
    return answer
  }

  ack(h = this.received): void {
    this.write(`<a xmlns='${sm}' h='${h}'/>`)
  }

  /** The count of the server's answer to <r/>. */
  async askCount(): Promise<number> {
    const before = this.elements.length
    this.write(`<r xmlns='${sm}'/>`)
    return Number((await eventually(() => this.elements.slice(before).find((e) => e.name === 'a'))).attrs['h'])
  }

  element(name: string): Promise<Element> {
    return eventually(() => this.elements.find((element) => element.name === name))
  }

  /** Sends an iq; the answer. */
  ask(xml: string): Promise<Element> {
    const id = newId()
    this.write(xml.replace('<iq', `<iq id='${id}'`))
    return eventually(() => this.elements.find((element) => element.name === 'iq' && element.attrs['id'] === id))
  }

  /** Everything sent so far has been read by the server when this returns. */
  async sync(): Promise<void> {
    await this.ask(`<iq type='get' to='${this.prosody.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`)
  }

  messages(): Element[] {
    return this.elements.filter((element) => element.name === 'message' && element.attrs['type'] !== 'error')
  }

  contents(): string[] {
    return this.messages().map(contentOf)
  }

  /** The condition of the error that answers this stanza. */
  refusal(id: string): Promise<string> {
    return eventually(() => {
      const error = this.elements.find((e) => e.attrs['id'] === id && e.attrs['type'] === 'error')
      return error?.getChild('error')?.getChildElements()[0]?.name
    })
  }

  /** The condition of the error that ended the stream. */
  streamError(): Promise<string> {
    return eventually(() => this.elements.find((e) => e.name === 'stream:error')?.getChildElements()[0]?.name)
  }

  /** The network goes away. */
  async vanish(): Promise<void> {
    if (this.closed) return
    this.socket.destroy()
    await within(once(this.socket, 'close'), 'the connection is gone')
  }

  /** The client ends the stream. */
  async end(): Promise<void> {
    this.write('</stream:stream>')
    await eventually(() => this.closed)
  }

  async #open(): Promise<void> {
    const before = this.#features
    this.#parser = new Parser()
    this.#parser.on('element', (element: Element) => this.#take(element))
    this.write(header(this.prosody.domain))
    await eventually(() => this.#features > before)
  }

  #take(element: Element): void {
    if (element.name === 'stream:features') this.#features++
    if (/^(message|iq|presence)$/.test(element.name)) this.received++
    if (element.name === 'r' && this.answers) this.ack()
    if (this.onElement) this.onElement(element)
    else this.elements.push(element)
  }
}

/** A user with a stream; available and with XEP-0198 unless told otherwise. */
export async function join(
  prosody: Prosody,
  user: string,
  { resource = 'android', managed = true, available = true, password }: JoinOptions = {},
): Promise<Client> {
  const client = await new Client(prosody, user).login(password)
  await client.bind(resource)
  if (managed) await client.manage()
  if (available) await client.available()
  return client
}

export type JoinOptions = { resource?: string; managed?: boolean; available?: boolean; password?: string }
