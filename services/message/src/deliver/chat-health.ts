/** So long (ms) after a part what it left to do may still slow chat down. */
const besideFor = 2000
/** So few messages say nothing: the slowest hundredth of them is two. */
const fewest = 200
/** What took longer (ms) waited for something that was away. */
const longestUsual = 5000

/** How fast chat is, beside what is sent to many users and without that. */
export class ChatHealth {
  readonly #alone = new Recent(2000)
  /** Since `slower` gave an answer. */
  readonly #beside = new Recent(1000)
  #notedAt = Number.NEGATIVE_INFINITY
  #parts = 0
  #partEndedAt = Number.NEGATIVE_INFINITY

  /** How long (ms) a message of a chat took from the XMPP server until it was stored. */
  note(ms: number): void {
    if (this.#isBeside) {
      this.#beside.add(ms)
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
   * How many times as long the slowest hundredth of chat takes beside what is sent to many, since it was asked last. 0 when nobody
   * chats, because nobody is disturbed; undefined when nothing new is known.
   */
  slower(): number | undefined {
    if (performance.now() - this.#notedAt > besideFor) return 0
    if (this.#beside.size < fewest || this.#alone.size < fewest) return undefined
    const slower = this.#beside.slowest() / Math.max(1, this.#alone.slowest())
    this.#beside.clear()
    return slower
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

  clear(): void {
    this.#added = 0
  }

  /** What 99 of 100 did not take longer than. */
  slowest(): number {
    return this.#times.slice(0, this.size).sort()[Math.floor(0.99 * (this.size - 1))] ?? 0
  }
}
