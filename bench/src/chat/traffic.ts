import { randomBytes } from 'node:crypto'
import { attributeOf, escapeXml, unescapeXml } from './stanza-cutter.ts'
import type { XmppClient } from './xmpp-client.ts'

/** One message and what became of it; times in ms of performance.now(). */
export interface Sent {
  id: string
  body: string
  from: number
  to: number
  /** Place in its pair's order. */
  place: number
  /** When it should have been sent: latencies count from here, so that a load that falls behind can't hide it. */
  dueAt: number
  deliveries: number
  receipts: number
  deliveredAt: number
  receiptedAt: number
}

export interface Anomalies {
  outOfOrder: number
  altered: number
  unknown: number
  refused: Record<string, number>
  disconnected: string[]
}

interface Pair {
  sender: XmppClient
  receiver: XmppClient
  /** Messages sent and place of the last one delivered. */
  sent: number
  delivered: number
}

/** Pairs of logged-in clients: the first of each writes to the second. Remembers every message of the current round. */
export class Traffic {
  readonly pairs: Pair[]
  readonly #domain: string
  messages = new Map<string, Sent>()
  /** Ids of earlier rounds that lacked something: it may come late, the verdict on them is given. */
  readonly #overdue = new Set<string>()
  anomalies = noAnomalies()
  /** Called when a message is both delivered and receipted. */
  onDone: (message: Sent, pairIndex: number) => void = () => {}

  constructor(clients: readonly (readonly [sender: XmppClient, receiver: XmppClient])[], domain: string) {
    this.#domain = domain
    this.pairs = clients.map(([sender, receiver]) => ({ sender, receiver, sent: 0, delivered: 0 }))
    this.pairs.forEach((pair, index) => {
      pair.receiver.onStanza = (stanza) => this.#received(pair, index, stanza)
      pair.sender.onStanza = (stanza) => this.#answered(index, stanza)
      pair.sender.onEnd = pair.receiver.onEnd = (why) => this.anomalies.disconnected.push(why)
    })
  }

  /** Forgets the last round. */
  begin(): void {
    for (const { id, deliveries, receipts } of this.messages.values())
      if (!deliveries || !receipts) this.#overdue.add(id)
    this.messages = new Map()
    this.anomalies = noAnomalies()
    for (const pair of this.pairs) pair.sent = pair.delivered = 0
  }

  send(pairIndex: number, dueAt: number): void {
    const pair = this.pairs[pairIndex]!
    const from = pair.sender.account.userId
    const to = pair.receiver.account.userId
    const id = randomBytes(16).toString('hex')
    const place = ++pair.sent
    const body = bodyOf(id, from, to, place)
    this.messages.set(id, {
      ...{ id, body, from, to, place, dueAt },
      ...{ deliveries: 0, receipts: 0, deliveredAt: 0, receiptedAt: 0 },
    })
    pair.sender.send(
      `<message id='${id}' type='chat' to='${to}@${this.#domain}'><body>${escapeXml(body)}</body><request xmlns='urn:xmpp:receipts'/></message>`,
    )
  }

  #received(pair: Pair, index: number, stanza: string): void {
    if (!stanza.startsWith('<message')) return
    const at = performance.now()
    const id = attributeOf(stanza, 'id') ?? ''
    const message = this.messages.get(id)
    if (!message || message.to !== pair.receiver.account.userId) {
      if (!this.#overdue.has(id)) this.anomalies.unknown += 1
      return
    }
    message.deliveries += 1
    if (message.deliveries > 1) return
    message.deliveredAt = at
    if (message.place < pair.delivered) this.anomalies.outOfOrder += 1
    else pair.delivered = message.place
    const begin = stanza.indexOf('<body>') + 6
    if (unescapeXml(stanza.slice(begin, stanza.indexOf('</body>', begin))) !== message.body) this.anomalies.altered += 1
    if (message.receipts) this.onDone(message, index)
  }

  #answered(index: number, stanza: string): void {
    if (!stanza.startsWith('<message')) return
    const at = performance.now()
    if (attributeOf(stanza, 'type') === 'error') {
      const condition = /<error[^>]*><([a-z-]+)/.exec(stanza)?.[1] ?? 'unknown'
      this.anomalies.refused[condition] = (this.anomalies.refused[condition] ?? 0) + 1
      return
    }
    const received = stanza.indexOf('<received')
    const id = received < 0 ? '' : (attributeOf(stanza.slice(received), 'id') ?? '')
    const message = this.messages.get(id)
    if (!message) {
      if (!this.#overdue.has(id)) this.anomalies.unknown += 1
      return
    }
    message.receipts += 1
    if (message.receipts > 1) return
    message.receiptedAt = at
    if (message.deliveries) this.onDone(message, index)
  }
}

const noAnomalies = (): Anomalies => ({ outOfOrder: 0, altered: 0, unknown: 0, refused: {}, disconnected: [] })

const sentences = [
  '今天下午三点在会议室碰一下，把上周的进度过一遍。',
  '好的，收到！我马上把文件发给你 😄',
  '“明天一起吃饭吗？” 她问 <老地方> & 老时间。',
  '这个版本我测过了，没有问题，可以发布。辛苦大家，周末愉快！',
]

/** The body as the apps write it. */
function bodyOf(messageId: string, from: number, to: number, place: number): string {
  return JSON.stringify({
    type: 1,
    messageId,
    fromUserId: String(from),
    fromUserName: `用户${from}`,
    toUserId: String(to),
    toUserName: `用户${to}`,
    content: `${sentences[place % sentences.length]!} #${place}`,
    timeSend: Date.now() / 1000,
    deleteTime: -1,
    isEncrypt: 0,
    isReadDel: 0,
  })
}
