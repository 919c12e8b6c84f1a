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

/** A presence of a room, as an app sees it. */
export interface RoomPresence {
  jid: string
  nick: string
  kind: string
  /** Status codes: 110 the own one, 201 the room was made, 321 removed. */
  codes: number[]
  isDestroyed: boolean
  condition?: string | undefined
}

const mucNamespace = 'http://jabber.org/protocol/muc'

/** One device of a user: an XMPP connection that keeps what it saw. */
export class Phone {
  readonly received: Received[] = []
  /** Ids the server confirmed as stored. */
  readonly receipts = new Set<string>()
  /** Ids the server refused, with the condition. */
  readonly refused = new Map<string, string>()
  readonly presences: RoomPresence[] = []
  /** Called with the XML of each message. */
  onMessage: (stanza: string) => void = () => {}
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
    if (stanza.is('presence')) this.presences.push(roomPresenceOf(stanza))
    if (!stanza.is('message')) return
    this.onMessage(stanza.toString())
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

  roomAddress = (jid: string, nick?: number): string =>
    `${jid}@muc.${this.#domain}${nick === undefined ? '' : `/${nick}`}`

  /** Asks to join a room; resolves with the room's answer about the own presence, or its refusal. */
  async join(jid: string, history: Record<string, string> = { seconds: '0' }): Promise<RoomPresence> {
    const before = this.presences.length
    await this.#xmpp.send(
      xml(
        'presence',
        { to: this.roomAddress(jid, this.#userId) },
        xml('x', { xmlns: mucNamespace }, xml('history', history)),
      ),
    )
    return await eventually(() =>
      this.presences
        .slice(before)
        .find((presence) => presence.jid === jid && (presence.kind === 'error' || presence.codes.includes(110))),
    )
  }

  /** Says something in a room; does not wait for the receipt. */
  async tellRoom(jid: string, content: string, more: Record<string, unknown> = {}): Promise<string> {
    const { messageId, body } = chatBody({ from: this.#userId, to: this.#userId, content, toUserId: jid, ...more })
    await this.#xmpp.send(
      xml(
        'message',
        { id: messageId, type: 'groupchat', to: this.roomAddress(jid) },
        xml('body', {}, body),
        xml('request', { xmlns: 'urn:xmpp:receipts' }),
      ),
    )
    return messageId
  }

  /** Says something in a room and waits for the receipt, or for the refusal, which it throws. */
  async sayIn(jid: string, content: string, more: Record<string, unknown> = {}): Promise<string> {
    const id = await this.tellRoom(jid, content, more)
    await eventually(() => this.receipts.has(id) || this.refused.has(id))
    const refusal = this.refused.get(id)
    if (refusal) throw new Error(`refused: ${refusal}`)
    return id
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

function roomPresenceOf(stanza: Stanza): RoomPresence {
  const [address = '', nick = ''] = String(stanza.attrs['from'] ?? '').split('/')
  const x = stanza.getChild('x', `${mucNamespace}#user`)
  const codes = x?.getChildren('status').map(({ attrs }) => Number(attrs['code'])) ?? []
  const condition = (stanza.getChild('error')?.children[0] as Stanza | undefined)?.name
  return {
    ...{ jid: address.split('@')[0] ?? '', nick, kind: stanza.attrs['type'] ?? 'available', codes, condition },
    isDestroyed: x?.getChild('destroy') !== undefined,
  }
}
