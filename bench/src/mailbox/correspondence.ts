import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { attributeOf, escapeXml, unescapeXml } from '../chat/stanza-cutter.ts'
import type { XmppClient } from '../chat/xmpp-client.ts'

/** A message and what became of it; times in ms of performance.now(). */
export interface Letter {
  id: string
  body: string
  from: number
  to: number
  sentAt: number
  receiptedAt: number
  deliveries: number
  deliveredAt: number
}

/** How long (ms) a round waits for what is missing at its end. */
const patience = 60_000

/** Messages to users who may be there or not. Judges whether each arrives as it was sent, in order, and nothing else does. */
export class Correspondence {
  readonly letters = new Map<string, Letter>()
  /** By receiver, in the order they were sent. */
  readonly #of = new Map<number, Letter[]>()
  readonly #arrived = new Map<number, Letter[]>()
  readonly faults: string[] = []
  readonly #domain: string
  /** Called when a message has its receipt, and when one is delivered. */
  onReceipt: (letter: Letter) => void = () => {}
  onDelivery: (letter: Letter) => void = () => {}

  constructor(domain: string) {
    this.#domain = domain
  }

  /** Takes what comes to a client. */
  watch(client: XmppClient): void {
    client.onStanza = (stanza) => this.#take(client, stanza)
    client.onEnd = (why) => this.faults.push(`the stream of ${client.account.userId} ended: ${why}`)
  }

  send(sender: XmppClient, to: number, content: string): Letter {
    const from = sender.account.userId
    const id = randomBytes(16).toString('hex')
    const body = JSON.stringify({
      type: 1,
      messageId: id,
      fromUserId: String(from),
      content,
      timeSend: Date.now() / 1000,
    })
    const letter = { id, body, from, to, sentAt: performance.now(), receiptedAt: 0, deliveries: 0, deliveredAt: 0 }
    this.letters.set(id, letter)
    const others = this.#of.get(to)
    if (others) others.push(letter)
    else this.#of.set(to, [letter])
    this.write(sender, letter)
    return letter
  }

  /** Sends it, for the first time or again. */
  write(sender: XmppClient, { id, body, to }: Letter): void {
    sender.send(
      `<message id='${id}' type='chat' to='${to}@${this.#domain}'><body>${escapeXml(body)}</body><request xmlns='urn:xmpp:receipts'/></message>`,
    )
  }

  lettersTo(user: number): readonly Letter[] {
    return this.#of.get(user) ?? []
  }

  #take({ account }: XmppClient, stanza: string): void {
    if (!stanza.startsWith('<message')) return
    if (attributeOf(stanza, 'type') === 'error') {
      this.faults.push(`refused: ${stanza.slice(0, 300)}`)
      return
    }
    const received = stanza.indexOf('<received')
    const isReceipt = received >= 0 && stanza.indexOf('<body>') < 0
    const id = attributeOf(isReceipt ? stanza.slice(received) : stanza, 'id') ?? ''
    const letter = this.letters.get(id)
    if (!letter || account.userId !== (isReceipt ? letter.from : letter.to)) {
      this.faults.push(`unknown: ${stanza.slice(0, 300)}`)
    } else if (isReceipt) {
      letter.receiptedAt ||= performance.now()
      this.onReceipt(letter)
    } else {
      letter.deliveries++
      letter.deliveredAt ||= performance.now()
      if (letter.deliveries === 1) this.#arrive(letter, stanza)
      this.onDelivery(letter)
    }
  }

  #arrive(letter: Letter, stanza: string): void {
    const begin = stanza.indexOf('<body>') + 6
    if (unescapeXml(stanza.slice(begin, stanza.indexOf('</body>', begin))) !== letter.body)
      this.faults.push(`${letter.id} was altered`)
    const arrived = this.#arrived.get(letter.to)
    if (arrived) arrived.push(letter)
    else this.#arrived.set(letter.to, [letter])
  }

  /** Sends one message for each task, `inFlight` of them waiting for their receipt at a time. */
  async sendAll(tasks: Iterable<() => Letter>, inFlight: number): Promise<void> {
    const waiting = new Set<string>()
    const before = this.onReceipt
    let goOn = () => {}
    this.onReceipt = (letter) => {
      waiting.delete(letter.id)
      before(letter)
      goOn()
    }
    for (const task of tasks) {
      if (waiting.size >= inFlight)
        await new Promise<void>((resolve, reject) => {
          const giveUp = () => reject(new Error(`${waiting.size} messages have no receipt`))
          const timer = setTimeout(giveUp, patience)
          goOn = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      waiting.add(task().id)
    }
    await this.until(() => waiting.size === 0, 'receipts')
    this.onReceipt = before
  }

  async until(isDone: () => boolean, what: string): Promise<void> {
    const giveUp = performance.now() + patience
    while (!isDone()) {
      if (performance.now() > giveUp) return void this.faults.push(`${what} did not come within ${patience / 1000} s`)
      await delay(5)
    }
  }

  /** Judges what these users were sent: all of it, once, each sender's messages in their order. */
  judge(users: Iterable<number>, mostWaiting = Number.POSITIVE_INFINITY): void {
    for (const user of users) {
      const expected = this.lettersTo(user).slice(0, mostWaiting)
      const missing = expected.filter(({ deliveries }) => deliveries === 0).length
      const doubled = expected.filter(({ deliveries }) => deliveries > 1).length
      if (missing) this.faults.push(`${missing} messages to ${user} did not arrive`)
      if (doubled) this.faults.push(`${doubled} messages to ${user} arrived more than once`)
      const lastOf = new Map<number, number>()
      for (const { from, sentAt } of this.#arrived.get(user) ?? []) {
        if (sentAt < (lastOf.get(from) ?? 0)) this.faults.push(`messages of ${from} to ${user} are out of order`)
        lastOf.set(from, sentAt)
      }
    }
  }
}
