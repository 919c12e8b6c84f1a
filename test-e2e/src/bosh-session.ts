import { type Element, Parser } from '@xmpp/xml'

const httpBind = 'http://jabber.org/protocol/httpbind'
const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'

/** An app that speaks BOSH (XEP-0124): it logs in, keeps a poll open and keeps what came. */
export class BoshSession {
  readonly stanzas: Element[] = []
  /** Why the session was ended, by the gateway or the XMPP server. */
  ended: string | undefined
  sid = ''
  readonly #url: string
  readonly #domain: string
  #rid = 1000
  #polling: Promise<void> | undefined
  readonly #closing = new AbortController()

  private constructor(url: string, domain: string) {
    this.#url = url
    this.#domain = domain
  }

  static async login(options: {
    gatewayUrl: string
    domain: string
    userId: number
    password: string
    resource: string
  }): Promise<BoshSession> {
    const { gatewayUrl, domain, userId, password, resource } = options
    const session = new BoshSession(`${gatewayUrl}/http-bind`, domain)
    await session.#post(`to='${domain}' wait='20' hold='1' xml:lang='en' ver='1.6' xmpp:version='1.0'`)
    const secret = Buffer.from(`\0${userId}\0${password}`).toString('base64')
    await session.#post('', `<auth xmlns='${sasl}' mechanism='PLAIN'>${secret}</auth>`)
    await session.#until((stanza) => stanza.is('success'))
    await session.#post(`to='${domain}' xmpp:restart='true'`)
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind>`
    await session.#post('', `<iq xmlns='jabber:client' type='set' id='bind'>${bind}</iq>`)
    await session.#until((stanza) => stanza.attrs['id'] === 'bind')
    await session.#post('', "<presence xmlns='jabber:client'/>")
    session.#polling = session.#poll()
    return session
  }

  async #until(match: (stanza: Element) => boolean): Promise<void> {
    while (!this.stanzas.some(match)) await this.#post()
  }

  async #poll(): Promise<void> {
    while (this.ended === undefined && !this.#closing.signal.aborted) await this.#post()
  }

  /** Sends the same request until it is answered, as clients do after 503 or a lost connection. */
  async #post(attributes = '', content = ''): Promise<void> {
    const names = `xmlns='${httpBind}' xmlns:xmpp='urn:xmpp:xbosh'`
    const sid = this.sid ? ` sid='${this.sid}'` : ''
    const body = `<body rid='${++this.#rid}'${sid} ${attributes} ${names}>${content}</body>`
    for (;;) {
      const answer = await fetch(this.#url, { method: 'POST', body, signal: this.#closing.signal }).catch(
        () => undefined,
      )
      if (this.#closing.signal.aborted) return
      if (answer?.status !== 200) continue
      this.#take(parse(await answer.text()))
      return
    }
  }

  #take(body: Element): void {
    this.sid ||= body.attrs['sid'] ?? ''
    this.stanzas.push(...body.getChildElements())
    if (body.attrs['type'] === 'terminate') this.ended = body.attrs['condition'] ?? ''
  }

  /** Sends a text and asks for the receipt. */
  async say(to: number, messageId: string, content: string): Promise<void> {
    const text = JSON.stringify({ type: 1, messageId, content, timeSend: Date.now() / 1000 })
    await this.#post(
      '',
      `<message xmlns='jabber:client' id='${messageId}' type='chat' to='${to}@${this.#domain}'>` +
        `<body>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</body><request xmlns='urn:xmpp:receipts'/></message>`,
    )
  }

  hasReceipt(messageId: string): boolean {
    return this.stanzas.some((stanza) => stanza.getChild('received', 'urn:xmpp:receipts')?.attrs['id'] === messageId)
  }

  heard(messageId: string): boolean {
    return this.stanzas.some((stanza) => stanza.attrs['id'] === messageId && stanza.getChild('body') !== undefined)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#polling
  }
}

function parse(xml: string): Element {
  const parser = new Parser()
  const children: Element[] = []
  let root: Element | undefined
  parser.on('start', (element: Element) => {
    root = element
  })
  parser.on('element', (element: Element) => children.push(element))
  parser.write(xml)
  if (!root) throw new Error(`no XML: ${xml}`)
  for (const child of children) if (!root.children.includes(child)) root.append(child)
  return root
}
