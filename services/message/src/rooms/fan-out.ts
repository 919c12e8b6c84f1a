import type { Bus, Closable, Logger } from '@im/service-kit'
import { cutParts } from '../peers/cut-parts.ts'
import type { Peers } from '../peers/peers.ts'
import type { MissedRoomsRepository } from './missed-rooms-repository.ts'
import type { RoomOrder } from './room-order.ts'

/** After so long (ms) without an answer another replica is asked again. */
const answeredWithin = 2000
/** So long (ms) a server that nobody holds is waited for: longer than a takeover. Then its streams have missed something. */
const heldWithin = 10_000
/** Characters of orders that may wait for servers which nobody holds, or whose holder does not answer: beyond it none is waited for. */
const mostWaiting = 64 * 1024 * 1024

interface Pending {
  order: RoomOrder
  size: number
  /** Servers whose streams may not have it yet, and who was asked to give it to them when. */
  servers: Map<string, { replica: string; at: number } | undefined>
  settled: () => void
}

interface Asked {
  from: string
  items: [number: number, servers: string[], order: RoomOrder][]
}

interface Answered {
  items: [number: number, servers: string[]][]
}

/** The XMPP servers of the fleet, by their addresses. */
interface HeldServers {
  readonly all: ReadonlySet<string>
  /** Resolves when they were looked up. */
  whenKnown(): Promise<void>
  /** That server, when its streams are known here. */
  at(address: string): { holds: { server: string } | undefined } | undefined
}

/** Gives an order to the streams of one server; resolves when the server has it. */
export type CarryOut = (server: string, order: RoomOrder) => Promise<void>

/**
 * Brings what happens in a room to all streams that have joined it, on whichever server. An order is settled when each server
 * has taken it: from then on the server answers for its streams, and one that ends gets the history when it joins again. While
 * a server changes hands its order waits; one that nobody holds for long has missed it, which is kept for who holds it next.
 */
export class FanOut {
  readonly #bus: Bus
  readonly #peers: Peers
  readonly #feeds: HeldServers
  readonly #missed: MissedRoomsRepository
  readonly #log: Logger
  readonly #carryOut: CarryOut
  readonly #pending = new Map<number, Pending>()
  #number = 0
  #waiting = 0
  /** Since when (ms) nobody seems to hold a server. */
  readonly #unheldSince = new Map<string, number>()
  /** Servers with orders that nobody was asked to carry out, or has to be asked again: what comes now waits behind them. */
  readonly #behind = new Set<string>()
  /** Who was asked last for a server: another one gets all that is open, in its order. */
  readonly #askedFor = new Map<string, string>()
  readonly #serving = new Set<string>()
  readonly #asking = new Map<string, Asked['items']>()
  readonly #answering = new Map<string, Answered['items']>()
  #isFlushing = false
  #isClosed = false

  constructor(options: {
    bus: Bus
    peers: Peers
    feeds: HeldServers
    missed: MissedRoomsRepository
    log: Logger
    carryOut: CarryOut
  }) {
    this.#bus = options.bus
    this.#peers = options.peers
    this.#feeds = options.feeds
    this.#missed = options.missed
    this.#log = options.log
    this.#carryOut = options.carryOut
    this.#peers.watch({
      gone: (id) => {
        for (const { servers } of this.#pending.values())
          for (const [server, asked] of servers) if (asked?.replica === id) this.#askAgain(servers, server)
      },
      tick: () => this.#look(),
    })
  }

  start(): Closable {
    const { id } = this.#peers
    const parts = [
      this.#bus.onTell(`rooms.order.${id}`, (text) => {
        const { from, items } = JSON.parse(text) as Asked
        for (const [number, servers, order] of items)
          for (const server of servers) this.#serveOther(from, number, server, order)
      }),
      this.#bus.onTell(`rooms.done.${id}`, (text) => {
        for (const [number, servers] of (JSON.parse(text) as Answered).items)
          for (const server of servers) this.#done(number, server)
      }),
    ]
    return {
      close: async () => {
        this.#isClosed = true
        await Promise.all(parts.map((part) => part.close()))
      },
    }
  }

  /** `settled` is called when all joined streams have the order or are sure to get the history. */
  send(order: RoomOrder, settled: () => void): void {
    const number = ++this.#number
    const size = order.kind === 'say' ? order.text.length : 100
    const servers: Pending['servers'] = new Map([...this.#feeds.all].map((server) => [server, undefined]))
    const pending = { order, size, servers, settled }
    this.#pending.set(number, pending)
    this.#waiting += size
    for (const server of [...servers.keys()]) {
      const replica = this.#holderOf(server)
      if (this.#behind.has(server) || replica !== this.#askedFor.get(server)) this.#askForAll(server)
      else if (replica !== undefined) this.#askFor(number, pending, server, replica)
      else this.#behind.add(server)
    }
    if (!servers.size) this.#settle(number)
  }

  /** As `send`; resolves when it is settled. */
  async sent(order: RoomOrder): Promise<void> {
    // Before the first look-up nobody knows which servers there are.
    await this.#feeds.whenKnown()
    await new Promise<void>((resolve) => this.send(order, resolve))
  }

  #holderOf(server: string): string | undefined {
    return this.#feeds.at(server) ? this.#peers.id : this.#peers.holderOf(server)?.id
  }

  /** Asks whoever holds the server now for all it has not taken, in the order in which it was said. */
  #askForAll(server: string): void {
    const replica = this.#holderOf(server)
    if (replica === undefined) {
      this.#behind.add(server)
      return
    }
    this.#behind.delete(server)
    const isOther = this.#askedFor.get(server) !== replica
    this.#askedFor.set(server, replica)
    for (const [number, pending] of this.#pending) {
      if (!pending.servers.has(server)) continue
      const asked = pending.servers.get(server)
      if (!asked || (isOther && asked.replica !== replica)) this.#askFor(number, pending, server, replica)
    }
  }

  #askFor(number: number, { servers, order }: Pending, server: string, replica: string): void {
    servers.set(server, { replica, at: performance.now() })
    if (replica !== this.#peers.id) this.#ask(replica, number, server, order)
    else
      this.#serve(
        server,
        order,
        () => this.#done(number, server),
        () => this.#askAgain(servers, server),
      )
  }

  #askAgain(servers: Pending['servers'], server: string): void {
    if (!servers.has(server)) return
    servers.set(server, undefined)
    this.#behind.add(server)
  }

  /** Gives it to the streams here, when this replica holds the server. */
  #serve(server: string, order: RoomOrder, done: () => void, failed: () => void = () => {}): void {
    const name = this.#feeds.at(server)?.holds?.server
    if (name === undefined) {
      failed()
      return
    }
    this.#carryOut(name, order).then(done, (error) => {
      this.#log.debug({ reason: String(error), server: name }, 'a server has not taken what was said in a room')
      failed()
    })
  }

  /** What is asked again while it is under way is answered once. */
  #serveOther(replica: string, number: number, server: string, order: RoomOrder): void {
    const key = `${replica} ${number} ${server}`
    if (this.#serving.has(key)) return
    this.#serving.add(key)
    const ended = () => this.#serving.delete(key)
    this.#serve(
      server,
      order,
      () => {
        ended()
        this.#answer(replica, number, server)
      },
      ended,
    )
  }

  #done(number: number, server: string): void {
    const pending = this.#pending.get(number)
    if (!pending) return
    pending.servers.delete(server)
    if (!pending.servers.size) this.#settle(number)
  }

  #settle(number: number): void {
    const pending = this.#pending.get(number)
    if (!pending || !this.#pending.delete(number)) return
    this.#waiting -= pending.size
    pending.settled()
  }

  /** Tries again where nobody was asked, or nobody answered. */
  #look(): void {
    const now = performance.now()
    const all = this.#feeds.all
    for (const server of all) {
      const isHeld = this.#feeds.at(server) !== undefined || this.#peers.holderOf(server) !== undefined
      if (isHeld) this.#unheldSince.delete(server)
      else if (!this.#unheldSince.has(server)) this.#unheldSince.set(server, now)
    }
    for (const [number, { servers, order }] of this.#pending)
      for (const [server, asked] of servers) {
        if (!all.has(server)) this.#done(number, server)
        const isLate = asked && asked.replica !== this.#peers.id && now - asked.at > answeredWithin
        if (isLate) this.#askAgain(servers, server)
        if (!asked) this.#giveUp(number, server, order)
      }
    for (const server of [...this.#behind]) this.#askForAll(server)
  }

  #giveUp(number: number, server: string, { jid }: RoomOrder): void {
    const since = this.#unheldSince.get(server)
    const unheldFor = since === undefined ? 0 : performance.now() - since
    if (unheldFor < (this.#waiting > mostWaiting ? 0 : heldWithin)) return
    const servers = this.#pending.get(number)?.servers
    if (!servers?.has(server)) return
    servers.set(server, { replica: this.#peers.id, at: performance.now() })
    this.#missed.add(server, jid).then(
      () => this.#done(number, server),
      (error) => {
        this.#log.warn({ reason: String(error), server }, 'what a server missed could not be kept; trying again')
        this.#askAgain(servers, server)
      },
    )
  }

  #ask(replica: string, number: number, server: string, order: RoomOrder): void {
    const items = this.#asking.get(replica) ?? []
    this.#asking.set(replica, items)
    const last = items.at(-1)
    if (last?.[0] === number) last[1].push(server)
    else items.push([number, [server], order])
    this.#soon()
  }

  #answer(replica: string, number: number, server: string): void {
    const items = this.#answering.get(replica) ?? []
    this.#answering.set(replica, items)
    items.push([number, [server]])
    this.#soon()
  }

  #soon(): void {
    if (this.#isFlushing || this.#isClosed) return
    this.#isFlushing = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#isFlushing = false
    const { id: from } = this.#peers
    for (const [replica, asked] of this.#asking)
      for (const items of cutParts(asked, lengthOf))
        this.#bus.tell(`rooms.order.${replica}`, JSON.stringify({ from, items } satisfies Asked))
    for (const [replica, items] of this.#answering)
      while (items.length)
        this.#bus.tell(`rooms.done.${replica}`, JSON.stringify({ items: items.splice(0, 2000) } satisfies Answered))
    this.#asking.clear()
    this.#answering.clear()
  }
}

const lengthOf = ([, servers, order]: Asked['items'][number]) =>
  200 + 40 * servers.length + (order.kind === 'say' ? order.text.length + (order.id?.length ?? 0) : 0)
