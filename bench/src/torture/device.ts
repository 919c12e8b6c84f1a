import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { attributeOf, escapeXml, unescapeXml } from '../chat/stanza-cutter.ts'
import type { Dice } from './dice.ts'
import type { Ledger, Message, Stream } from './ledger.ts'
import type { Room } from './room.ts'
import { Wire } from './wire.ts'

/** How a device tells what it has got: XEP-0198 with resumption, `xmpp:shiku:ack`, or not at all. */
export type Confirms = 'sm' | 'ack' | 'nothing'

export interface Account {
  userId: number
  resource: string
  /** Access token. */
  password: string
}

/** Where clients find the XMPP servers. */
export interface Servers {
  ports: readonly number[]
  domain: string
}

const sm = 'urn:xmpp:sm:3'
/** A client that hears nothing for so long (ms) asks whether anybody is there, and after that gives the connection up. */
const asksAfter = 4000
const givesUpAfter = 10_000
/** A receipt that does not come on a living stream for so long (ms): the app sends the message again. */
const resendAfter = 45_000
const forgetsResumptionAfter = 55_000
/** A join without an answer is tried again after so long (ms). */
const joinsAgainAfter = 5000
/** Sends what happens in rooms. */
const systemUser = '10005'

/** What a client keeps of a stream that may be resumed (XEP-0198). */
interface Resumable {
  id: string
  server: number
  /** Stanzas received. */
  handled: number
  /** Stanzas sent, and those of them that the server has not acknowledged. */
  sent: number
  unacknowledged: string[]
  stream: Stream
  lostAt: number
}

/**
 * An app on a device: sends in order, sends again what was not confirmed when it has a new stream, confirms what it gets, and
 * notes all it sees in the ledger. It comes and goes as its dice say until it is told to stay.
 */
export class Device {
  readonly name: string
  /** Written, or to be written, and neither confirmed nor refused. */
  readonly outbox: Message[] = []
  /** How many were refused for now and wait until they are sent again. */
  #postponed = 0
  readonly confirms: Confirms
  /** Rooms its user may be in. */
  rooms: readonly Room[] = []
  /** When it asked last, on this stream, to join which room. */
  #askedToJoin = new Map<string, number>()
  /** Place of the next message among those it sends. */
  nextPlace = 0
  readonly #account: Account
  readonly #servers: Servers
  readonly #ledger: Ledger
  readonly #dice: Dice
  readonly #ending = new AbortController()
  #wire: Wire | undefined
  #stream: Stream | undefined
  #resumable: Resumable | undefined
  #streams = 0
  #isStaying = false
  #isAsleep = false
  /** Ids to confirm by `xmpp:shiku:ack`. */
  #got: string[] = []
  #lastIq = 0

  constructor(options: { account: Account; servers: Servers; ledger: Ledger; dice: Dice; confirms: Confirms }) {
    this.#account = options.account
    this.#servers = options.servers
    this.#ledger = options.ledger
    this.#dice = options.dice
    this.confirms = options.confirms
    this.name = `${options.account.userId}/${options.account.resource}`
  }

  get isOnline(): boolean {
    return this.#stream !== undefined
  }

  /** Everything is confirmed, or refused for good. */
  get isSettled(): boolean {
    return !this.outbox.length && !this.#postponed
  }

  send(message: Message): void {
    this.outbox.push(message)
    if (this.#stream) this.#write(message)
  }

  /** Comes and goes; resolves after `end`. */
  async live(): Promise<void> {
    const ticking = setInterval(() => this.#tick(), 500)
    while (!this.#ending.signal.aborted) {
      if (this.#stream) await this.#stayOnline()
      else
        try {
          await this.#comeOnline()
        } catch {
          this.#wire?.drop()
          await this.#pause(this.#dice.integer(100, 1000))
        }
    }
    clearInterval(ticking)
  }

  /** From now on it leaves only when it is thrown out. */
  stay(): void {
    this.#isStaying = true
  }

  /** Closes its stream; it comes back as after a login, with nothing to resume. */
  async loginAgain(): Promise<void> {
    await this.#leaveCleanly()
  }

  end(): void {
    this.#ending.abort()
    this.#wire?.drop()
  }

  async #comeOnline(): Promise<void> {
    const before = this.#resumable
    if (before && performance.now() - before.lostAt > forgetsResumptionAfter) this.#resumable = undefined
    const server = this.#resumable?.server ?? this.#dice.integer(0, this.#servers.ports.length - 1)
    let wire: Wire
    try {
      wire = await this.#login(server)
    } catch (error) {
      // Its server may be down: the next one is as good.
      if (this.#dice.chance(0.4)) this.#resumable = undefined
      throw error
    }
    if (this.#resumable && (await this.#resume(wire, this.#resumable))) return
    this.#resumable = undefined
    await this.#bind(wire, server)
  }

  async #login(server: number): Promise<Wire> {
    const { userId, password } = this.#account
    const wire = new Wire(this.#servers.ports[server]!)
    this.#wire = wire
    const open = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${this.#servers.domain}' version='1.0'>`
    const plain = Buffer.from(`\0${userId}\0${password}`).toString('base64')
    await wire.ask(open, ['<stream:features'])
    const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`
    const answer = await wire.ask(auth, ['<success', '<failure'], 12_000)
    if (!answer.startsWith('<success')) throw new Error(answer)
    wire.restart()
    await wire.ask(open, ['<stream:features'])
    return wire
  }

  /** False when the server knows nothing of the stream any more. */
  async #resume(wire: Wire, resumable: Resumable): Promise<boolean> {
    const waiting: string[] = []
    wire.onStanza = (stanza) => waiting.push(stanza)
    const resume = `<resume xmlns='${sm}' previd='${escapeXml(resumable.id)}' h='${resumable.handled}'/>`
    const answer = await wire.ask(resume, ['<resumed', '<failed'])
    if (answer.startsWith('<failed')) return false
    this.#begin(wire, resumable.stream)
    resumable.stream.endedAt = Number.POSITIVE_INFINITY
    this.#acknowledged(Number(attributeOf(answer, 'h')))
    for (const stanza of waiting) this.#take(stanza)
    const again = resumable.unacknowledged.splice(0)
    resumable.sent -= again.length
    for (const stanza of again) this.#stanza(stanza)
    // Sent while there was no connection.
    for (const message of this.outbox) if (!message.sentAt.length) this.#write(message)
    return true
  }

  async #bind(wire: Wire, server: number): Promise<void> {
    const { domain } = this.#servers
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${this.#account.resource}</resource></bind>`
    await wire.ask(`<iq type='set' id='bind'>${bind}</iq>`, ['<iq'])
    const stream: Stream = {
      device: this.name,
      number: ++this.#streams,
      server,
      beganAt: performance.now(),
      availableAt: Number.POSITIVE_INFINITY,
      endedAt: Number.POSITIVE_INFINITY,
      isClosedCleanly: false,
      joins: new Map(),
      confirms: this.confirms !== 'nothing',
    }
    this.#got = []
    if (this.confirms === 'sm') {
      const enabled = await wire.ask(`<enable xmlns='${sm}' resume='true'/>`, ['<enabled'])
      const id = attributeOf(enabled, 'id') ?? ''
      this.#resumable = { id, server, handled: 0, sent: 0, unacknowledged: [], stream, lostAt: 0 }
    } else if (this.confirms === 'ack') {
      const enable = `<iq type='set' id='ack' to='${domain}'><enable xmlns='xmpp:shiku:ack'>enable</enable></iq>`
      await wire.ask(enable, ['<iq'])
    }
    this.#ledger.streams.push(stream)
    this.#begin(wire, stream)
    this.#stanza('<presence/>')
    this.#askedToJoin = new Map()
    this.#joinRooms()
    this.#ping('here')
    // What an app was not told to be stored it sends again, in order.
    for (const message of this.outbox) this.#write(message)
  }

  #begin(wire: Wire, stream: Stream): void {
    this.#stream = stream
    wire.onStanza = (stanza) => this.#take(stanza)
    wire.onEnd = () => {
      if (this.#wire === wire) this.#lost()
    }
  }

  #lost(): void {
    if (!this.#stream) return
    this.#stream.endedAt = performance.now()
    this.#stream = undefined
    this.#isAsleep = false
    if (this.#resumable) this.#resumable.lostAt = performance.now()
    this.#ended.abort()
    this.#ended = new AbortController()
  }

  #ended = new AbortController()

  async #stayOnline(): Promise<void> {
    const stays = this.#dice.integer(4000, 40_000)
    await delay(stays, undefined, { signal: this.#ended.signal }).catch(() => {})
    if (!this.#stream) return this.#pause(this.#dice.integer(50, 500))
    if (this.#isStaying) return
    const how = this.#dice.weighted({ close: 3, drop: 3, sleep: 3, stay: 1 })
    if (how === 'close') await this.#leaveCleanly()
    if (how === 'drop') this.#wire?.drop()
    if (how === 'sleep') {
      this.#isAsleep = true
      this.#wire?.sleep()
      await this.#pause(this.#dice.integer(500, 12_000))
      this.#isAsleep = false
      this.#wire?.wake()
      return
    }
    // Often back at once, as from a tunnel.
    await this.#pause(this.#dice.chance(0.5) ? this.#dice.integer(0, 1000) : this.#dice.integer(1000, 15_000))
  }

  async #leaveCleanly(): Promise<void> {
    const stream = this.#stream
    if (!stream) return
    this.#resumable = undefined
    const ended = once(this.#ended.signal, 'abort')
    // Confirms what it has before it goes.
    this.#confirm()
    this.#wire?.close()
    stream.isClosedCleanly = true
    const patience = setTimeout(() => {
      stream.isClosedCleanly = false
      this.#wire?.drop()
    }, 8000)
    await ended
    clearTimeout(patience)
  }

  /** Asks a silent server for a sign of life, sends again what was never answered, and confirms. */
  #tick(): void {
    const wire = this.#wire
    if (!wire || !this.#stream || this.#isAsleep) return
    const silence = performance.now() - wire.heardAt
    if (silence > givesUpAfter) wire.drop()
    else if (silence > asksAfter) {
      if (this.confirms === 'sm') wire.send(`<r xmlns='${sm}'/>`)
      else this.#ping('ping')
    }
    this.#confirm()
    this.#joinRooms()
    const first = this.outbox[0]
    if (first?.sentAt.length && performance.now() - first.sentAt.at(-1)! > resendAfter)
      for (const message of this.outbox) this.#write(message)
  }

  #ping(id: string): void {
    this.#stanza(`<iq type='get' id='${id}' to='${this.#servers.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`)
  }

  /** Joins the rooms of its user that it is not in, and asks for what was said in them. */
  #joinRooms(): void {
    const { userId } = this.#account
    const now = performance.now()
    for (const room of this.rooms) {
      const join = this.#stream!.joins.get(room.jid)
      const isIn = join !== undefined && join.to === Number.POSITIVE_INFINITY
      if (isIn || !room.isMember(userId)) continue
      if (now - (this.#askedToJoin.get(room.jid) ?? Number.NEGATIVE_INFINITY) < joinsAgainAfter) continue
      this.#askedToJoin.set(room.jid, now)
      const history = `<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='100'/></x>`
      this.#stanza(`<presence to='${this.#addressOf(room)}/${userId}'>${history}</presence>`)
    }
  }

  #addressOf({ jid }: Room): string {
    return `${jid}@muc.${this.#servers.domain}`
  }

  #takePresence(stanza: string): void {
    const [jid = '', nick] = (attributeOf(stanza, 'from') ?? '').split(/@[^/]*\//)
    if (nick !== String(this.#account.userId)) return
    const type = attributeOf(stanza, 'type')
    const joins = this.#stream!.joins
    const at = performance.now()
    if (type === undefined && stanza.includes("code='110'")) {
      if (joins.get(jid)?.to !== Number.POSITIVE_INFINITY) joins.set(jid, { from: at, to: Number.POSITIVE_INFINITY })
    } else if (type === 'unavailable' && /<destroy|code='(?:110|321)'/.test(stanza)) {
      const join = joins.get(jid)
      if (join) joins.set(jid, { ...join, to: at })
      this.#askedToJoin.delete(jid)
    }
  }

  #confirm(): void {
    if (this.confirms !== 'ack' || !this.#got.length) return
    const ids = this.#got.splice(0).map((id) => `${id},`)
    this.#stanza(`<iq type='set' id='got${++this.#lastIq}'><body xmlns='xmpp:shiku:ack'>${ids.join('')}</body></iq>`)
  }

  #write(message: Message): void {
    message.sentAt.push(performance.now())
    const { room } = message
    const to = room ? this.#addressOf(room) : `${message.to}@${this.#servers.domain}`
    const body = `<body>${escapeXml(message.body)}</body><request xmlns='urn:xmpp:receipts'/>`
    this.#stanza(`<message id='${message.id}' type='${room ? 'groupchat' : 'chat'}' to='${to}'>${body}</message>`)
  }

  /** Writes a stanza, which XEP-0198 counts. */
  #stanza(xml: string): void {
    this.#wire?.send(xml)
    if (!this.#resumable) return
    this.#resumable.sent++
    this.#resumable.unacknowledged.push(xml)
    if (this.#resumable.unacknowledged.length % 20 === 0) this.#wire?.send(`<r xmlns='${sm}'/>`)
  }

  #acknowledged(h: number): void {
    const resumable = this.#resumable
    if (!resumable) return
    const first = resumable.sent - resumable.unacknowledged.length
    if (h > resumable.sent || h < first)
      this.#ledger.strange.push(`${this.name}: acknowledged ${h} of ${first}..${resumable.sent}`)
    resumable.unacknowledged.splice(0, h - first)
  }

  #take(stanza: string): void {
    const name = /^<\/?([a-z:]+)/.exec(stanza)?.[1]
    switch (name) {
      case 'r':
        this.#wire?.send(`<a xmlns='${sm}' h='${this.#resumable?.handled ?? 0}'/>`)
        break
      case 'a':
        this.#acknowledged(Number(attributeOf(stanza, 'h')))
        break
      case 'message':
      case 'iq':
      case 'presence':
        if (this.#resumable) this.#resumable.handled++
        if (name === 'message') this.#takeMessage(stanza)
        else if (name === 'presence') this.#takePresence(stanza)
        else if (name === 'iq' && attributeOf(stanza, 'id') === 'here')
          this.#stream!.availableAt = Math.min(this.#stream!.availableAt, performance.now())
        break
      case 'stream:error':
        // Another stream has our resource, or we are thrown out: there is nothing to resume.
        this.#resumable = undefined
    }
  }

  #takeMessage(stanza: string): void {
    const id = attributeOf(stanza, 'id') ?? ''
    const bodyAt = stanza.indexOf('<body>')
    if (attributeOf(stanza, 'type') === 'error') this.#refused(id, /<error[^>]*><([a-z-]+)/.exec(stanza)?.[1] ?? '')
    else if (bodyAt >= 0) {
      const body = unescapeXml(stanza.slice(bodyAt + 6, stanza.indexOf('</body>', bodyAt)))
      const from = attributeOf(stanza, 'from') ?? ''
      const isOfSystem = from.startsWith(`${systemUser}@`) || from.endsWith(`/${systemUser}`)
      if (!isOfSystem) this.#ledger.delivered(this.#account.userId, this.#stream!, id, body)
      if (this.confirms === 'ack') this.#got.push(id)
    } else {
      const received = stanza.indexOf('<received')
      if (received >= 0) this.#receipt(attributeOf(stanza.slice(received), 'id') ?? '')
    }
  }

  #receipt(id: string): void {
    const message = this.#ledger.messages.get(id)
    if (message?.device !== this.name) return void this.#ledger.strange.push(`${this.name} got a receipt for ${id}`)
    message.receiptAt ??= performance.now()
    this.#forget(message)
  }

  /** What was refused for now is sent again later, or given up. */
  #refused(id: string, condition: string): void {
    const message = this.#ledger.messages.get(id)
    if (message?.device !== this.name) return void this.#ledger.strange.push(`${this.name} got an error for ${id}`)
    message.refusals.push({ condition, at: performance.now() })
    // A copy was refused whose first was stored.
    if (message.receiptAt !== undefined || !this.outbox.includes(message)) return
    this.#forget(message)
    const isForNow = condition === 'resource-constraint' || condition === 'internal-server-error'
    if (!isForNow || this.#dice.chance(0.3)) {
      message.isGivenUp = true
      return
    }
    message.place = undefined
    this.#postponed++
    void this.#pause(this.#dice.integer(500, 3000)).then(() => {
      this.#postponed--
      this.send(message)
    })
  }

  #forget(message: Message): void {
    const at = this.outbox.indexOf(message)
    if (at >= 0) this.outbox.splice(at, 1)
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => {})
  }
}
