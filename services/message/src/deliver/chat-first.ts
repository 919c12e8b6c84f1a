import { setTimeout as delay } from 'node:timers/promises'
import { Gauge, type Registry } from '@im/service-kit'
import PQueue from 'p-queue'
import { ChatHealth } from './chat-health.ts'

/** How long (ms) a part gives way at most to chat that is being stored: under lasting chat it is late, but it comes. */
const longestTurn = 250
/** How much slower chat may be beside what is sent to many. */
const bearable = 1.25
/** How long (ms) the rest between two parts is at first, and at most, when chat suffers. */
const firstRest = 10
const longestRest = 1000
const [longer, shorter] = [1.5, 0.8]

/**
 * What people write to each other goes before what is sent to many users. That is stored part after part. A part waits until this
 * replica stores no chat, so a message of a chat waits behind one small part at most; and between parts there is a rest, as
 * long as it takes until chat is about as fast beside them as it was without them.
 */
export class ChatFirst {
  readonly #now: () => number
  readonly #health = new ChatHealth()
  readonly #parts = new PQueue({ concurrency: 1 })
  readonly #waiting = new Set<() => void>()
  #storing = 0
  #partEndedAt = Number.NEGATIVE_INFINITY
  #restMs = 0

  /** `now` is compared with the stamps of the XMPP servers (ms). */
  constructor({ now, metrics }: { now: () => number; metrics: Registry }) {
    this.#now = now
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
    const rest = Math.min(this.#restMs, longestWait)
    const rested = performance.now() - this.#partEndedAt
    if (rested < rest) await delay(rest - rested)
    await this.#giveWay(Math.min(longestTurn, longestWait))
    this.#health.beginPart()
    try {
      return await work()
    } finally {
      this.#partEndedAt = performance.now()
      this.#health.endPart()
    }
  }

  #adjust(): void {
    const slower = this.#health.slower()
    if (slower === undefined) return
    if (slower > bearable) this.#restMs = Math.min(longestRest, Math.max(firstRest, this.#restMs * longer))
    else this.#restMs = this.#restMs < firstRest ? 0 : this.#restMs * shorter
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
