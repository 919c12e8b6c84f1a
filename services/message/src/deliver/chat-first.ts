import { setTimeout as delay } from 'node:timers/promises'
import { type Bus, type Closable, Gauge, type Registry } from '@im/service-kit'
import PQueue from 'p-queue'
import type { Peers } from '../peers/peers.ts'
import { type ChatCount, ChatHealth, slowest } from './chat-health.ts'

/** How long (ms) a part gives way at most to chat that is being stored: under lasting chat it is late, but it comes. */
const longestTurn = 250
/** How much longer than usual a message of a chat may take. */
const bearable = 1.2
/** How long (ms) the rest between two parts is when they begin beside chat, and the least and the most while chat goes on. */
const firstRest = 300
const [shortestRest, longestRest] = [2, 1000]
/** How much a message that is late makes the rest longer. One in a hundred may be late: so many others take that back. */
const perLate = 0.1
/** How many late messages may be owed beyond the longest rest: after a swarm of them as many others come before it gets shorter. */
const mostOwed = 100
/** When no part came for so long (ms), the next one is the first of something new. */
const forgetAfter = 10_000
/** So often (ms) parts rest for so long (ms) to see how fast chat is without them. */
const lookEvery = 20_000
const lookFor = 2000

/** After so long (ms) without a part others are told that one begins, and not only that it has ended. */
const toldBeginAfter = 500

/** What replicas tell each other. The chat that a part disturbs may be another replica's. */
interface Told extends ChatCount {
  from: string
  /** A part begins. */
  begins?: true
  /** A part has ended: the rest (ms) that was wanted before it, and whether it was one to look at chat. */
  ended?: { restMs: number; looked: boolean }
}

/** The other replicas. */
interface Others {
  bus: Pick<Bus, 'tell' | 'onTell'>
  peers: Pick<Peers, 'id' | 'others' | 'chats'>
}

const nothing: ChatCount = { messages: 0, late: 0 }
const sum = (a: ChatCount, b: ChatCount): ChatCount => ({ messages: a.messages + b.messages, late: a.late + b.late })

/**
 * What people write to each other goes before what is sent to many users. That is stored part after part. A part waits until this
 * replica stores no chat, so a message of a chat waits behind one small part at most; and between parts there is a rest, as
 * long as it takes until the slowest hundredth of chat is about as fast beside them as it is without them. Where nobody chats
 * there is none. Chat of all replicas counts: they tell each other of their parts and how chat was beside them.
 */
export class ChatFirst {
  readonly #now: () => number
  readonly #clock: () => number
  readonly #others: Others
  readonly #health: ChatHealth
  readonly #parts = new PQueue({ concurrency: 1 })
  readonly #waiting = new Set<() => void>()
  #storing = 0
  #partEndedAt = Number.NEGATIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Beyond `longestRest` it is owed. */
  #wantedMs = 0
  /** Since the rest was adjusted, by whomever. */
  #count = nothing
  /** What the others have not been told of chat here. */
  #untold = nothing

  /** `now` is compared with the stamps of the XMPP servers (ms); `clock` (ms) is set by nobody. */
  constructor({
    now,
    metrics,
    clock = () => performance.now(),
    ...others
  }: Others & {
    now: () => number
    metrics: Registry
    clock?: () => number
  }) {
    this.#now = now
    this.#clock = clock
    this.#others = others
    this.#health = new ChatHealth(bearable, clock)
    const rest = () => this.restMs / 1000
    new Gauge({
      name: 'im_send_rest_seconds',
      help: 'Rest between two parts of what is sent to many users, so that chat stays fast',
      registers: [metrics],
      collect() {
        this.set(rest())
      },
    })
  }

  /** Begins to hear the other replicas. */
  start(): Closable {
    this.#others.peers.chats = () => this.isChattingHere
    return this.#others.bus.onTell('sends-to-many', (text) => this.#hear(JSON.parse(text) as Told))
  }

  /** Whether a message of a chat came to this replica a moment ago. */
  get isChattingHere(): boolean {
    return this.#health.isChatting
  }

  /** The same of all replicas. */
  get isChatting(): boolean {
    return this.isChattingHere || this.#others.peers.others.some(({ chats }) => chats)
  }

  /** How long (ms) the rest after a part is at the moment. */
  get restMs(): number {
    return Math.min(longestRest, this.#wantedMs)
  }

  /** Stores chat; `stamps` say when it came to the XMPP server (ms). */
  async store<T>(work: () => Promise<T>, stamps: readonly number[]): Promise<T> {
    this.#storing++
    try {
      const result = await work()
      const now = this.#now()
      for (const stamp of stamps) this.#health.note(Math.max(0, now - stamp))
      return result
    } finally {
      this.#storing--
      if (!this.#storing) for (const goOn of [...this.#waiting]) goOn()
    }
  }

  /** Stores a part of what is sent to many when it is its turn: after `longestWait` (ms) and the parts before it at the latest. */
  async part<T>(work: () => Promise<T>, longestWait: number): Promise<T> {
    return (await this.#parts.add(() => this.#store(work, longestWait))) as T
  }

  async #store<T>(work: () => Promise<T>, longestWait: number): Promise<T> {
    this.#adjust()
    // A look is as long as it has to be: chat is seen without parts by nothing shorter.
    const looked = this.restMs > 0 && this.#clock() - this.#lookedAt >= lookEvery
    if (looked) this.#lookedAt = this.#clock()
    const wantedMs = this.#wantedMs
    const rest = looked ? lookFor : Math.min(this.restMs, longestWait)
    const rested = this.#clock() - this.#partEndedAt
    if (rested < rest) await delay(rest - rested)
    await this.#giveWay(Math.min(longestTurn, longestWait))
    if (this.#clock() - this.#partEndedAt > toldBeginAfter) this.#tell({ begins: true })
    this.#health.beginPart()
    try {
      return await work()
    } finally {
      this.#partEndedAt = this.#clock()
      this.#health.endPart()
      this.#tell({ ended: { restMs: wantedMs, looked } })
    }
  }

  #adjust(): void {
    this.#gather()
    const { messages, late } = this.#count
    // The others are told of the rest that follows from it.
    this.#count = nothing
    this.#untold = nothing
    const now = this.#clock()
    if (!this.isChatting) {
      this.#wantedMs = 0
      return
    }
    if (!this.#wantedMs || now - this.#partEndedAt > forgetAfter) {
      this.#wantedMs = Math.max(this.restMs, firstRest)
      this.#lookedAt = now
      return
    }
    const longer = Math.exp(perLate * (late - slowest * messages))
    const most = longestRest * Math.exp(perLate * mostOwed)
    this.#wantedMs = Math.min(most, Math.max(shortestRest, this.#wantedMs * longer))
  }

  #gather(): void {
    const fresh = this.#health.take()
    this.#count = sum(this.#count, fresh)
    this.#untold = sum(this.#untold, fresh)
  }

  #tell(news: Pick<Told, 'begins' | 'ended'>): void {
    this.#gather()
    const told: Told = { from: this.#others.peers.id, ...news, ...this.#untold }
    this.#untold = nothing
    this.#others.bus.tell('sends-to-many', JSON.stringify(told))
  }

  #hear({ from, begins, ended, messages, late }: Told): void {
    if (from === this.#others.peers.id) return
    if (begins || ended) this.#health.partElsewhere()
    if (ended) {
      this.#partEndedAt = this.#clock()
      this.#wantedMs = ended.restMs
      if (ended.looked) this.#lookedAt = this.#clock()
      this.#count = nothing
    }
    this.#count = sum(this.#count, { messages, late })
    // Whoever stored the part goes by what it did to chat here.
    if (ended && this.isChattingHere) this.#tell({})
  }

  /** Resolves when no chat is being stored, or after a while (ms). */
  async #giveWay(longestWait: number): Promise<void> {
    if (!this.#storing) return
    await new Promise<void>((resolve) => {
      const goOn = () => {
        clearTimeout(timer)
        this.#waiting.delete(goOn)
        resolve()
      }
      const timer = setTimeout(goOn, longestWait)
      this.#waiting.add(goOn)
    })
  }
}
