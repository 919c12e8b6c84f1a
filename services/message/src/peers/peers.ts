import { createHash } from 'node:crypto'
import type { Bus, Closable, Replicas } from '@im/service-kit'

/** How often (ms) a replica says that it is there, and after what silence it counts as gone. */
const beatEvery = 300
const goneAfter = 1200
/** A replica that joins hears of the others within this time (ms); of those that the database names too, `goneAfter` is waited for. */
const joinTime = 150
/** Shorter than the silence after which others give this replica up: see `isInTouch`. */
const inTouchFor = 1000

/** What a replica says of itself. */
export interface Beat {
  id: string
  /** It takes XMPP servers. */
  feeds: boolean
  /** Addresses of the servers it holds. */
  holds: string[]
  /** Those of them that another replica may take: by its own view they are not this one's share. */
  yields: string[]
  /** Addresses that are its share while another replica holds them, which is asked to leave them in order. */
  wants?: string[]
  /** Number of what it told last of its streams: who has seen less has missed something. */
  told: number
  /** Messages of chats came to it a moment ago. */
  chats?: true
  /** When it was sent, by the clock of its sender. */
  at: number
  /** It ends: what it still holds is the share of others. */
  ends?: true
  /** It has ended. */
  leaves?: true
}

interface Peer extends Beat {
  heardAt: number
}

export interface PeerWatcher {
  /** A replica is there, new or with its next beat. */
  heard?(beat: Beat, isNew: boolean): void
  gone?(id: string): void
  /** Once for each beat of our own. */
  tick?(): void
}

/** What replicas that take XMPP servers offer to share, in the words of `Replicas`. */
const task = 'xmpp-servers'

/**
 * The replicas of this service that are there, as they tell each other over NATS, and more slowly through MongoDB while NATS
 * is away. Only hints: nothing is decided by them that an XMPP server or a mailbox does not make good.
 */
export class Peers {
  readonly id: string
  readonly #bus: Bus
  readonly #replicas: Replicas
  readonly #feeds: boolean
  readonly #peers = new Map<string, Peer>()
  readonly #watchers: PeerWatcher[] = []
  readonly #parts: Closable[] = []
  #isConnected = true
  #deafUntil = 0
  #joinsUntil = 0
  #isEnding = false
  /** When the last of our own beats was sent that came back to us. */
  #ownBeatAt = Number.NEGATIVE_INFINITY
  holds: () => string[] = () => []
  wants: () => string[] = () => []
  told: () => number = () => 0
  chats: () => boolean = () => false

  constructor({ bus, replicas, feeds }: { bus: Bus; replicas: Replicas; feeds: boolean }) {
    this.id = replicas.id
    this.#bus = bus
    this.#replicas = replicas
    this.#feeds = feeds
  }

  watch(watcher: PeerWatcher): void {
    this.#watchers.push(watcher)
  }

  /** Begins to be heard. */
  start(): Closable {
    this.#deafUntil = performance.now() + joinTime
    this.#joinsUntil = performance.now() + goneAfter
    this.#parts.push(
      this.#bus.onTell('beat', (text) => this.#hear(JSON.parse(text) as Beat)),
      this.#bus.onTell('join', () => this.beat()),
      this.#bus.onConnection((isConnected) => {
        this.#isConnected = isConnected
        // Who was silent meanwhile may only not have been heard.
        this.#deafUntil = performance.now() + goneAfter
        for (const peer of this.#peers.values()) peer.heardAt = performance.now()
        if (isConnected) this.#bus.tell('join', this.id)
      }),
    )
    this.#bus.tell('join', this.id)
    const offer = this.#feeds ? this.#replicas.offer(task) : undefined
    const beating = setInterval(() => {
      this.beat()
      this.#look()
      for (const watcher of this.#watchers) watcher.tick?.()
    }, beatEvery)
    return {
      close: async () => {
        clearInterval(beating)
        offer?.withdraw()
        this.#bus.tell('beat', JSON.stringify({ ...this.#own(), leaves: true }))
        await Promise.all(this.#parts.map((part) => part.close()))
      },
    }
  }

  /** False while others can't be heard over NATS: nothing follows from their silence. */
  get hears(): boolean {
    const now = performance.now()
    return this.#isConnected && now >= this.#deafUntil && (now >= this.#joinsUntil || !this.#knowsUnheard())
  }

  /** Another replica lives by the database that was not heard yet. */
  #knowsUnheard(): boolean {
    return this.#replicas.sharing(task).some((id) => id !== this.id && !this.#peers.has(id))
  }

  /** It is known, by one of the two ways, who is there. */
  get sees(): boolean {
    return this.#isConnected ? this.hears : this.#replicas.isAlive
  }

  /**
   * What others told until a moment ago was heard here, and they still wait for what this replica has to say: NATS keeps the
   * order, so a beat of our own that came back came after everything told before it. False for a process that was suspended.
   */
  get isInTouch(): boolean {
    return performance.now() - this.#ownBeatAt < inTouchFor
  }

  get others(): readonly Beat[] {
    return [...this.#peers.values()]
  }

  /** Which replica is to hold a server: each of them finds the same one. */
  ownerOf(address: string): string {
    let [owner, highest] = ['', '']
    for (const id of this.#feeders()) {
      const rank = createHash('sha1').update(`${id} ${address}`).digest('hex')
      if (rank > highest) [owner, highest] = [id, rank]
    }
    return owner
  }

  #feeders(): string[] {
    if (!this.#isConnected) return this.#replicas.sharing(task)
    const others = [...this.#peers.values()].filter(({ feeds, ends }) => feeds && !ends).map(({ id }) => id)
    return this.#feeds && !this.#isEnding ? [...others, this.id] : others
  }

  /** Another replica that says it holds the server. */
  holderOf(address: string): Beat | undefined {
    return [...this.#peers.values()].find(({ holds }) => holds.includes(address))
  }

  #own(): Beat {
    const holds = this.holds()
    const yields = holds.filter((address) => this.ownerOf(address) !== this.id)
    return {
      ...{ id: this.id, feeds: this.#feeds, holds, yields, wants: this.wants(), told: this.told() },
      ...(this.#isEnding ? { ends: true } : {}),
      ...(this.chats() ? { chats: true } : {}),
      at: performance.now(),
    }
  }

  /** Tells the others that this replica leaves its servers. */
  end(): void {
    this.#isEnding = true
    this.beat()
  }

  /** Tells the others how it is here; it is told every few hundred milliseconds anyway. */
  beat(): void {
    this.#bus.tell('beat', JSON.stringify(this.#own()))
  }

  #hear(beat: Beat): void {
    if (beat.id === this.id) {
      this.#ownBeatAt = beat.at
      return
    }
    if (beat.leaves) {
      this.#forget(beat.id)
      return
    }
    const isNew = !this.#peers.has(beat.id)
    this.#peers.set(beat.id, { ...beat, heardAt: performance.now() })
    for (const watcher of this.#watchers) watcher.heard?.(beat, isNew)
  }

  #look(): void {
    if (!this.sees) return
    const living = this.#isConnected ? undefined : new Set(this.#replicas.sharing(task))
    const silentSince = performance.now() - goneAfter
    for (const { id, feeds, heardAt } of this.#peers.values())
      if (living ? feeds && !living.has(id) : heardAt < silentSince) this.#forget(id)
  }

  #forget(id: string): void {
    if (!this.#peers.delete(id)) return
    void this.#replicas.endTransactionsOf(id)
    for (const watcher of this.#watchers) watcher.gone?.(id)
  }
}
