/** A client that acknowledges and resumes (XEP-0198) only when told to, over a socket of its own. */
import { connect, type Socket } from 'node:net'
import { eventually, passwordOf } from './people.ts'
import type { Prosody } from './prosody.ts'

const header = (domain: string) =>
  `<stream:stream to='${domain}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const plain = (xml: string) =>
  xml.replace(/&(#\d+|\w+);/g, (_, name: string) =>
    name.startsWith('#') ? String.fromCodePoint(Number(name.slice(1))) : (entities[name] ?? ''),
  )

export type Message = { id: string; from: string; content: string; delayed: boolean }

function messageOf(xml: string): Message | undefined {
  const body = /<body>([\s\S]*?)<\/body>/.exec(xml)?.[1]
  if (body === undefined || /^<message[^>]* type='error'/.test(xml)) return undefined
  const attribute = (name: string) => plain(new RegExp(`^<message[^>]* ${name}='([^']*)'`).exec(xml)?.[1] ?? '')
  const { content } = JSON.parse(plain(body))
  return { id: attribute('id'), from: attribute('from'), content, delayed: xml.includes('urn:xmpp:delay') }
}

export class RawStream {
  /** Everything received since the session was bound or resumed, as XML. */
  stanzas: string[] = []
  /** Id to resume with. */
  id = ''
  /** Stanzas received in all, and how many of them were acknowledged last. */
  received = 0
  /** Answers each request of the server at once. */
  answers = false
  closed = false
  readonly #prosody: Prosody
  readonly #user: string
  #socket!: Socket
  #rest = ''
  #other = ''

  constructor(prosody: Prosody, user: string) {
    this.#prosody = prosody
    this.#user = user
  }

  /** Logs in and binds; with management, XEP-0198 is on. Not available yet. */
  async bind(resource = 'android', { management = true } = {}): Promise<this> {
    await this.#login()
    this.write(
      `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    )
    await this.#until(() => this.stanzas.some((stanza) => stanza.includes('<jid>')))
    if (management) {
      this.write("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
      this.id = (await this.#until(() => /<enabled[^>]* id='([^']*)'/.exec(this.#other)))[1]!
    }
    this.stanzas = []
    this.received = 0
    return this
  }

  async available(): Promise<this> {
    this.write('<presence/>')
    return this
  }

  /** Logs in again and goes on with the lost session of `before`. */
  async resume(before: RawStream): Promise<this> {
    await this.#login()
    this.id = before.id
    this.received = before.received
    this.write(`<resume xmlns='urn:xmpp:sm:3' previd='${this.id}' h='${this.received}'/>`)
    await this.#until(() => this.#other.includes('<resumed'))
    return this
  }

  write(xml: string): void {
    this.#socket.write(xml)
  }

  ack(h = this.received): void {
    this.write(`<a xmlns='urn:xmpp:sm:3' h='${h}'/>`)
  }

  messages(): Message[] {
    return this.stanzas.map(messageOf).filter((message) => message !== undefined)
  }

  contents(): string[] {
    return this.messages().map(({ content }) => content)
  }

  /** The network goes away. */
  async vanish(): Promise<void> {
    this.#socket.destroy()
    await this.#until(() => this.closed)
  }

  /** The client ends the stream. */
  async end(): Promise<void> {
    this.write('</stream:stream>')
    await this.#until(() => this.closed)
  }

  #until<T>(check: () => T): Promise<NonNullable<T>> {
    return eventually(check)
  }

  async #login(): Promise<void> {
    this.#socket = connect(this.#prosody.port, '127.0.0.1')
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (chunk: unknown) => this.#take(String(chunk)))
    this.#socket.on('close', () => (this.closed = true))
    this.#socket.on('error', () => {})
    this.write(header(this.#prosody.domain))
    await this.#until(() => this.#other.includes('</stream:features>'))
    const secret = Buffer.from(`\0${this.#user}\0${passwordOf(this.#user)}`).toString('base64')
    this.write(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${secret}</auth>`)
    await this.#until(() => this.#other.includes('<success'))
    this.#other = ''
    this.write(header(this.#prosody.domain))
    await this.#until(() => this.#other.includes('</stream:features>'))
  }

  #take(chunk: string): void {
    this.#rest += chunk
    let done = 0
    const stanza = /<(message|iq|presence)\b(?:[^>]*\/>|[\s\S]*?<\/\1>)|<r [^>]*\/>/y
    for (let at = this.#rest.indexOf('<'); at >= 0; at = this.#rest.indexOf('<', done)) {
      stanza.lastIndex = at
      const found = stanza.exec(this.#rest)
      if (found) {
        if (found[1]) {
          this.received++
          this.stanzas.push(found[0])
        } else if (this.answers) {
          this.ack()
        }
        done = at + found[0].length
        continue
      }
      const end = this.#rest.indexOf('>', at)
      if (end < 0 || /^<(?:message|iq|presence|r)\b/.test(this.#rest.slice(at, at + 10))) break
      this.#other += this.#rest.slice(done, end + 1)
      done = end + 1
    }
    this.#rest = this.#rest.slice(done)
  }
}
