import { setTimeout as delay } from 'node:timers/promises'
import { Gauge, type Registry } from '@im/service-kit'
import PQueue from 'p-queue'
import { ChatHealth, slowest } from './chat-health.ts'

/** How long (ms) a part gives way at most to chat that is being stored: under lasting chat it is late, but it comes. */
const longestTurn = 250
/** How much longer than usual a message of a chat may take. */
const bearable = 1.2
/** How long (ms) the rest between two parts is when they begin beside chat, and the least and the most while chat goes on. */
const firstRest = 300
const [shortestRest, longestRest] = [2, 1000]
/** How much a message that is late makes the rest longer. One in a hundred may be late: so many others take that back. */
const perLate = 0.1
/** When no part came for so long (ms), the next one is the first of something new. */
const forgetAfter = 10_000
/** So often (ms) parts rest for so long (ms) to see how fast chat is without them. */
const lookEvery = 20_000
const lookFor = 2000

/**
 * What people write to each other goes before what is sent to many users. That is stored part after part. A part waits until this
 * replica stores no chat, so a message of a chat waits behind one small part at most; and between parts there is a rest, as
 * long as it takes until the slowest hundredth of chat is about as fast beside them as it is without them. Where nobody chats
 * there is none.
 */
export class ChatFirst {
  readonly #now: () => number
  readonly #clock: () => number
  readonly #health: ChatHealth
  readonly #parts = new PQueue({ concurrency: 1 })
  readonly #waiting = new Set<() => void>()
  #storing = 0
  #partEndedAt = Number.NEGATIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  #restMs = 0

  /** `now` is compared with the stamps of the XMPP servers (ms); `clock` (ms) is set by nobody. */
  constructor({
    now,
    metrics,
    clock = () => performance.now(),
  }: {
    now: () => number
    metrics: Registry
    clock?: () => number
  }) {
    this.#now = now
    this.#clock = clock
    this.#health = new ChatHealth(bearable, clock)
    const rest = () => this.#restMs / 1000
    new Gauge({
      name: 'im_send_rest_seconds',
      help: 'Rest between two parts of what is sent to many users, so that chat stays fast',
      registers: [metrics],
      collect() {
        this.set(rest())
      },
    })
  }

  /** Whether a message of a chat came a moment ago. */
  get isChatting(): boolean {
    return this.#health.isChatting
  }

  /** How long (ms) the rest after a part is at the moment. */
  get restMs(): number {
    return this.#restMs
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
    const rest = Math.min(this.#nextRest(), longestWait)
    const rested = this.#clock() - this.#partEndedAt
    if (rested < rest) await delay(rest - rested)
    await this.#giveWay(Math.min(longestTurn, longestWait))
    this.#health.beginPart()
    try {
      return await work()
    } finally {
      this.#partEndedAt = this.#clock()
      this.#health.endPart()
    }
  }

  #adjust(): void {
    const { messages, late } = this.#health.take()
    const now = this.#clock()
    if (!this.#health.isChatting) {
      this.#restMs = 0
      return
    }
    if (!this.#restMs || now - this.#partEndedAt > forgetAfter) {
      this.#restMs = Math.max(this.#restMs, firstRest)
      this.#lookedAt = now
      return
    }
    const longer = Math.exp(perLate * (late - slowest * messages))
    this.#restMs = Math.min(longestRest, Math.max(shortestRest, this.#restMs * longer))
  }

  #nextRest(): number {
    if (!this.#restMs || this.#clock() - this.#lookedAt < lookEvery) return this.#restMs
    this.#lookedAt = this.#clock()
    return lookFor
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
