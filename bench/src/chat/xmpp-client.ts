import { connect, type Socket } from 'node:net'
import { attributeOf, escapeXml, StanzaCutter } from './stanza-cutter.ts'

export interface Account {
  userId: number
  /** Access token, or md5 hex of the password. */
  password: string
}

export interface XmppAddress {
  host: string
  port: number
  domain: string
}

/** The server asks who has said nothing for long, and closes the stream of who does not answer. */
const isPing = (stanza: string) =>
  stanza.startsWith('<iq') && attributeOf(stanza, 'type') === 'get' && stanza.includes('urn:xmpp:ping')

/** As little of an XMPP client as a load needs: its own cost must not be what is measured. */
export class XmppClient {
  readonly account: Account
  onStanza: (stanza: string) => void = () => {}
  onEnd: (why: string) => void = () => {}
  readonly #socket: Socket
  #cutter = new StanzaCutter()
  #closing = false
  /** While an answer is waited for: takes what is no message. */
  #take: ((stanza: string) => void) | undefined

  private constructor(account: Account, socket: Socket) {
    this.account = account
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.setNoDelay(true)
    socket.on('data', (chunk: unknown) => {
      for (const stanza of this.#cutter.push(chunk as string))
        if (isPing(stanza)) this.send(`<iq type='result' id='${escapeXml(attributeOf(stanza, 'id') ?? '')}'/>`)
        else if (this.#take && !stanza.startsWith('<message')) this.#take(stanza)
        else this.onStanza(stanza)
    })
    socket.on('error', (cause) => this.#ended(cause.message))
    socket.on('close', () => this.#ended('closed by the server'))
  }

  /** Resolves when the client is available: messages to it are delivered from here on, to `watch` from the first one. */
  static async login(
    address: XmppAddress,
    account: Account,
    resource: string,
    watch: (client: XmppClient) => void = () => {},
  ): Promise<XmppClient> {
    const client = new XmppClient(account, connect(address.port, address.host))
    watch(client)
    const { onEnd } = client
    const { domain } = address
    const open = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`
    const plain = Buffer.from(`\0${account.userId}\0${account.password}`).toString('base64')
    await client.#ask(open, '<stream:features')
    await client.#ask(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`, '<success')
    client.#cutter = new StanzaCutter()
    await client.#ask(open, '<stream:features')
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${escapeXml(resource)}</resource></bind>`
    await client.#ask(`<iq type='set' id='bind'>${bind}</iq>`, '<iq')
    client.send('<presence/>')
    await client.#ask(`<iq type='get' id='here' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`, '<iq')
    client.onEnd = onEnd
    return client
  }

  send(xml: string): void {
    this.#socket.write(xml)
  }

  /** Reads nothing from here on. */
  pause(): void {
    this.#socket.pause()
  }

  close(): void {
    this.#closing = true
    this.#socket.end('</stream:stream>')
    this.#socket.unref()
  }

  #ask(xml: string, answer: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(timer)
        reject(new Error(`login of ${this.account.userId}: ${why}`))
      }
      const timer = setTimeout(() => fail(`no ${answer}> within 20 s`), 20_000)
      this.onEnd = fail
      this.#take = (stanza) => {
        if (stanza.startsWith('<failure') || attributeOf(stanza, 'type') === 'error') return fail(stanza)
        if (!stanza.startsWith(answer)) return
        clearTimeout(timer)
        this.#take = undefined
        this.onEnd = () => {}
        resolve()
      }
      this.send(xml)
    })
  }

  #ended(why: string): void {
    if (this.#closing) return
    this.#closing = true
    this.onEnd(why)
  }
}
