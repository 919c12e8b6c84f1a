import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Peers } from '../peers/peers.ts'
import { Feed } from './feed.ts'

/** How long (ms) a replica that took a server has to say so before the server counts as nobody's. */
const sayWithin = 1500
/** After so long (ms) without a holder a server is taken by another than its owner, who seems not to reach it. */
const helpAfter = 4000
/** How long (ms) a holder that was asked for a server may take to leave it in order. Then it is taken from it. */
const leavesWithin = 5000

interface Held {
  feed: Feed
  stop: AbortController
  running: Promise<void>
}

/** The feeds of this replica: the XMPP servers that are its share, as long as nobody else has taken them. */
export class Feeds {
  #deps: Deps | undefined
  readonly #peers: Peers
  readonly #held = new Map<string, Held>()
  /** When (ms) another replica took a server from us. */
  readonly #takenAt = new Map<string, number>()
  /** Since when (ms) nobody seems to hold a server. */
  readonly #unheldSince = new Map<string, number>()
  /** Since when (ms) another replica is asked to leave a server to us. */
  readonly #wantedSince = new Map<string, number>()
  #isClosing = false

  constructor(peers: Peers) {
    this.#peers = peers
    peers.holds = () => this.addresses
    peers.wants = () => [...this.#wantedSince.keys()]
    peers.watch({
      heard: ({ id, wants = [] }, isNew) => {
        if (isNew) this.#takenAt.clear()
        for (const address of wants) if (peers.ownerOf(address) === id) this.#held.get(address)?.stop.abort()
        // It may have left what was asked for.
        if (this.#wantedSince.size) this.#share()
      },
      gone: () => {
        this.#takenAt.clear()
        this.#share()
      },
      tick: () => this.#share(),
    })
  }

  start(deps: Deps): void {
    this.#deps = deps
  }

  /** Addresses of the servers whose streams are known here. */
  get addresses(): string[] {
    return [...this.#held].flatMap(([address, { feed }]) => (feed.holds ? [address] : []))
  }

  /** No server is left to other replicas, or out of reach. */
  get holdsAll(): boolean {
    const all = this.#deps?.xmppServers.addresses ?? []
    return all.length > 0 && all.every((address) => this.#held.get(address)?.feed.holds)
  }

  get servers(): { server: string; epoch: number }[] {
    return [...this.#held.values()].flatMap(({ feed }) => feed.holds ?? [])
  }

  /** Addresses of all servers of the fleet: those that are named, and those that are held though they are named no more. */
  get all(): ReadonlySet<string> {
    const held = this.#peers.others.flatMap(({ holds }) => holds)
    return new Set([...(this.#deps?.xmppServers.addresses ?? []), ...this.addresses, ...held])
  }

  /** Resolves when the servers of the fleet were looked up. */
  async whenKnown(): Promise<void> {
    await this.#deps?.xmppServers.found
  }

  /** The feed of the server behind an address, when its streams are known here. */
  at(address: string): Feed | undefined {
    const feed = this.#held.get(address)?.feed
    return feed?.holds ? feed : undefined
  }

  /** The feed of a server by its name. */
  of(server: string): Feed | undefined {
    for (const { feed } of this.#held.values()) if (feed.holds?.server === server) return feed
    return undefined
  }

  /** Whether an entry (`<log>:<seq>`) was in its log before the server was connected to this replica. */
  cameBefore(tap: string): boolean {
    const colon = tap.lastIndexOf(':')
    const [log, seq] = [tap.slice(0, colon), Number(tap.slice(colon + 1))]
    for (const { feed } of this.#held.values()) if (feed.cameBefore(log, seq)) return true
    return false
  }

  #share(): void {
    const deps = this.#deps
    if (!deps || this.#isClosing) return
    const { addresses } = deps.xmppServers
    // A server that ends is not named any more, and still has something to hand on.
    for (const [address, { feed, stop }] of this.#held) if (!addresses.includes(address) && !feed.holds) stop.abort()
    // While it is not known who is there, what we hold we keep.
    if (deps.config.messageRole === 'http' || !this.#peers.sees) return
    for (const address of this.#wantedSince.keys()) if (!addresses.includes(address)) this.#wantedSince.delete(address)
    for (const address of addresses) {
      if (this.#held.has(address)) continue
      if (!this.#isOurs(address)) this.#wantedSince.delete(address)
      else if (this.#isLeft(address)) this.#hold(deps, address)
    }
  }

  /** False while its holder is asked to leave it in order. */
  #isLeft(address: string): boolean {
    const now = performance.now()
    const since = this.#wantedSince.get(address)
    if (!this.#peers.holderOf(address) || (since !== undefined && now - since > leavesWithin)) {
      this.#wantedSince.delete(address)
      return true
    }
    if (since === undefined) {
      this.#wantedSince.set(address, now)
      this.#peers.beat()
    }
    return false
  }

  #isOurs(address: string): boolean {
    const peers = this.#peers
    const now = performance.now()
    const isOwner = peers.ownerOf(address) === peers.id
    const takenAt = this.#takenAt.get(address) ?? Number.NEGATIVE_INFINITY
    const holder = peers.holderOf(address)
    if (holder) {
      this.#unheldSince.delete(address)
      // Who took it from us may see other replicas than we do: two that both think it theirs must not fight.
      return isOwner && (takenAt === Number.NEGATIVE_INFINITY || holder.yields.includes(address))
    }
    const unheldSince = this.#unheldSince.get(address) ?? now
    this.#unheldSince.set(address, unheldSince)
    if (isOwner) return now - takenAt > sayWithin
    // Who holds it may be there and not be heard.
    return peers.hears && now - Math.max(unheldSince, takenAt) > helpAfter
  }

  #hold(deps: Deps, address: string): void {
    const feed = new Feed(deps, address)
    const stop = new AbortController()
    const running = feed.run(stop.signal).then((end) => {
      this.#held.delete(address)
      this.#unheldSince.delete(address)
      if (end === 'replaced') this.#takenAt.set(address, performance.now())
      else this.#peers.beat()
    })
    this.#held.set(address, { feed, stop, running })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#wantedSince.clear()
    this.#peers.end()
    for (const { stop } of this.#held.values()) stop.abort()
    await Promise.all([...this.#held.values()].map(({ running }) => running))
  }
}

/** Holds the connections to the XMPP servers that are this replica's share. */
export function shareServers(deps: Deps): Closable {
  const { peers, feeds } = deps
  const beating = peers.start()
  feeds.start(deps)
  return {
    async close() {
      await feeds.close()
      await beating.close()
    },
  }
}
