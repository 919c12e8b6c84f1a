/** So long (ms) after a part what it left to do may still slow chat down. */
const besideFor = 2000
/** So few messages say nothing. */
const fewest = 20
/** What took longer (ms) waited for something that was away. */
const longestUsual = 5000

/** How fast chat is, beside what is sent to many users and without that. */
export class ChatHealth {
  readonly #alone = new Recent(400)
  readonly #beside = new Recent(100)
  /** Noted beside parts since `slower` gave an answer. */
  #fresh = 0
  #notedAt = Number.NEGATIVE_INFINITY
  #parts = 0
  #partEndedAt = Number.NEGATIVE_INFINITY

  /** How long (ms) a message of a chat took from the XMPP server until it was stored. */
  note(ms: number): void {
    if (this.#isBeside) {
      this.#beside.add(ms)
      this.#fresh++
      this.#notedAt = performance.now()
    } else if (ms <= longestUsual) this.#alone.add(ms)
  }

  beginPart(): void {
    this.#parts++
  }

  endPart(): void {
    this.#parts--
    this.#partEndedAt = performance.now()
  }

  /**
   * How many times as long the slowest twentieth of chat takes beside what is sent to many. 0 when nobody chats, because nobody is
   * disturbed; undefined when nothing new is known.
   */
  slower(): number | undefined {
    if (performance.now() - this.#notedAt > besideFor) return 0
    if (this.#fresh < fewest || this.#beside.size < fewest || this.#alone.size < fewest) return undefined
    this.#fresh = 0
    return this.#beside.slowest() / Math.max(1, this.#alone.slowest())
  }

  get #isBeside(): boolean {
    return this.#parts > 0 || performance.now() - this.#partEndedAt < besideFor
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

  /** What 95 of 100 did not take longer than. */
  slowest(): number {
    return this.#times.slice(0, this.size).sort()[Math.floor(0.95 * (this.size - 1))] ?? 0
  }
}
