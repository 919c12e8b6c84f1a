import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { eventually } from '@im/service-kit/testing'
import { client, xml } from '@xmpp/client'

type Stanza = ReturnType<typeof xml>

/** A chat message as an app received it. */
export interface Received {
  id: string
  from: string
  type: number
  content: string
  /** Exactly as it stood in the stanza. */
  body: string
  /** It waited on the server: it carries a delay element. */
  delayed: boolean
}

export interface Sent {
  messageId: string
  body: string
  content: string
}

/** Writes the JSON body that apps send (spec xmpp.md §2). */
export function chatBody(fields: { from: number; to: number; content: string } & Record<string, unknown>): {
  messageId: string
  body: string
} {
  const { from, to, content, ...more } = fields
  const messageId = randomBytes(16).toString('hex')
  const body = JSON.stringify({
    type: 1,
    messageId,
    fromUserId: String(from),
    fromUserName: `user ${from}`,
    toUserId: String(to),
    toUserName: `user ${to}`,
    content,
    timeSend: Date.now() / 1000,
    ...more,
  })
  return { messageId: (more['messageId'] as string | undefined) ?? messageId, body }
}

/** One device of a user: an XMPP connection that keeps what it saw. */
export class Phone {
  readonly received: Received[] = []
  /** Ids the server confirmed as stored. */
  readonly receipts = new Set<string>()
  /** Ids the server refused, with the condition. */
  readonly refused = new Map<string, string>()
  readonly #xmpp: ReturnType<typeof client>
  readonly #domain: string
  readonly #userId: number
  #down = false

  private constructor(xmpp: ReturnType<typeof client>, domain: string, userId: number) {
    this.#xmpp = xmpp
    this.#domain = domain
    this.#userId = userId
  }

  /** Connects, binds and becomes available. */
  static async connect(options: {
    port: number
    domain: string
    userId: number
    password: string
    resource?: string
    available?: boolean
    /** Another way in than TCP: a WebSocket address. */
    service?: string
  }): Promise<Phone> {
    const username = String(options.userId)
    const service = options.service ?? `xmpp://127.0.0.1:${options.port}`
    const xmpp = client({
      service,
      domain: options.domain,
      username,
      // Named, because the library offers PLAIN by itself only inside TLS.
      credentials: async (authenticate) =>
        authenticate({ username, password: options.password }, 'PLAIN', xml('user-agent')),
      resource: options.resource ?? 'android',
    })
    const phone = new Phone(xmpp, options.domain, options.userId)
    xmpp.reconnect.stop()
    xmpp.on('error', () => {
      phone.#down = true
    })
    xmpp.on('disconnect', () => {
      phone.#down = true
    })
    xmpp.on('stanza', (stanza: Stanza) => phone.#take(stanza))
    // As `start` of the library, which leaves a rejection to nobody when the connection breaks before the stream is open.
    await xmpp.connect(service)
    const online = once(xmpp, 'online')
    online.catch(() => {})
    await xmpp.open({ domain: options.domain, lang: 'en' })
    await online
    // The library counts stanzas that overlap with the start of stream management, the server does not.
    await eventually(() => xmpp.streamManagement.enabled)
    if (options.available ?? true) await xmpp.send(xml('presence'))
    return phone
  }

  get isDown(): boolean {
    return this.#down
  }

  #take(stanza: Stanza): void {
    if (!stanza.is('message')) return
    const receipt = stanza.getChild('received', 'urn:xmpp:receipts')
    if (receipt) {
      this.receipts.add(receipt.attrs['id'])
      return
    }
    if (stanza.attrs['type'] === 'error') {
      const condition = stanza.getChild('error')?.children[0] as Stanza | undefined
      this.refused.set(stanza.attrs['id'], condition?.name ?? 'error')
      return
    }
    const body = stanza.getChildText('body')
    if (body === null) return
    const parsed = JSON.parse(body) as { type: number; content: string }
    this.received.push({
      id: stanza.attrs['id'],
      from: stanza.attrs['from'],
      type: parsed.type,
      content: parsed.content,
      body,
      delayed: stanza.getChild('delay', 'urn:xmpp:delay') !== undefined,
    })
  }

  /** Sends a chat body to a user and asks for the receipt; does not wait for it. */
  async sendBody(to: number | string, messageId: string, body: string): Promise<void> {
    const address = typeof to === 'number' ? `${to}@${this.#domain}` : to
    await this.#xmpp.send(
      xml(
        'message',
        { id: messageId, type: 'chat', to: address },
        xml('body', {}, body),
        xml('request', { xmlns: 'urn:xmpp:receipts' }),
      ),
    )
  }

  /** Sends a text (or whatever `more` says) and waits until the server confirmed that it is stored. */
  async say(to: number, content: string, more: Record<string, unknown> = {}): Promise<Sent> {
    const { messageId, body } = chatBody({ from: this.#userId, to, content, ...more })
    await this.sendBody(to, messageId, body)
    await eventually(() => this.receipts.has(messageId) || this.refused.has(messageId))
    const refusal = this.refused.get(messageId)
    if (refusal) throw new Error(`refused: ${refusal}`)
    return { messageId, body, content }
  }

  /** Waits for a message. */
  hears(match: (message: Received) => boolean, deadline?: number): Promise<Received> {
    return eventually(() => this.received.find(match), deadline)
  }

  async hangUp(): Promise<void> {
    if (this.#down) return
    this.#down = true
    await this.#xmpp.stop().catch(() => {})
  }

  /** The network is gone: no closing stream, nothing. */
  drop(): void {
    this.#down = true
    ;(this.#xmpp as unknown as { socket?: { destroy(): void } }).socket?.destroy()
  }

  /** Resolves when the server closed the stream, with the condition it gave. */
  async closedByServer(): Promise<string> {
    if (this.#down) return ''
    const [error] = (await Promise.race([once(this.#xmpp, 'error'), once(this.#xmpp, 'disconnect')])) as [
      { condition?: string } | undefined,
    ]
    return error?.condition ?? ''
  }
}
