/** So long (ms) after a part what it left to do may still slow chat down. */
const besideFor = 1000
/** Chat goes on when there was a message within this time (ms). */
const chatsFor = 2000
/** So few messages say nothing of the slowest hundredth. */
const fewest = 200
/** What took longer (ms) waited for something that was away. */
const longestUsual = 5000
/** The share of messages that `usual` leaves out. */
export const slowest = 0.01

/** Messages of chats, and how many of them were late. */
export interface ChatCount {
  messages: number
  late: number
}

/** How fast chat is, beside what is sent to many users and without that. */
export class ChatHealth {
  readonly #alone = new Recent(2000)
  /** What 99 of 100 messages did not take longer than (ms) without anything beside them. Undefined: to be computed. */
  #usual: number | undefined
  readonly #bearable: number
  readonly #clock: () => number
  #beside: ChatCount = { messages: 0, late: 0 }
  #notedAt = Number.NEGATIVE_INFINITY
  #parts = 0
  #partEndedAt = Number.NEGATIVE_INFINITY

  /**
   * A message is late when it takes more than `bearable` times as long as the slowest hundredth without anything beside it. `clock`
   * (ms) is set by nobody.
   */
  constructor(bearable: number, clock: () => number) {
    this.#bearable = bearable
    this.#clock = clock
  }

  /** How long (ms) a message of a chat took from the XMPP server until it was stored. */
  note(ms: number): void {
    this.#notedAt = this.#clock()
    if (!this.#isBeside) {
      if (ms > longestUsual) return
      this.#alone.add(ms)
      this.#usual = undefined
    } else if (this.#alone.size >= fewest) {
      this.#usual ??= this.#alone.quantile(1 - slowest)
      this.#beside.messages++
      if (ms > this.#bearable * Math.max(1, this.#usual)) this.#beside.late++
    }
  }

  beginPart(): void {
    this.#parts++
  }

  endPart(): void {
    this.#parts--
    this.#partEndedAt = this.#clock()
  }

  /** Another replica stores a part, or has stored one a moment ago. */
  partElsewhere(): void {
    this.#partEndedAt = this.#clock()
  }

  get isChatting(): boolean {
    return this.#clock() - this.#notedAt < chatsFor
  }

  /** Messages beside what is sent to many since this was asked last. None counts while too few came without that. */
  take(): ChatCount {
    const beside = this.#beside
    this.#beside = { messages: 0, late: 0 }
    return beside
  }

  get #isBeside(): boolean {
    return this.#parts > 0 || this.#clock() - this.#partEndedAt < besideFor
  }
}

/** The last times of so many messages. */
class Recent {
  readonly #times: Float64Array
  #added = 0

  constructor(most: number) {
    this.#times = new Float64Array(most)
  }

  get size(): number {
    return Math.min(this.#added, this.#times.length)
  }

  add(ms: number): void {
    this.#times[this.#added++ % this.#times.length] = ms
  }

  quantile(share: number): number {
    return this.#times.slice(0, this.size).sort()[Math.floor(share * (this.size - 1))] ?? 0
  }
}
