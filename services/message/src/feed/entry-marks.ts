interface Mark {
  isInHand: boolean
  isSettled: boolean
}

/**
 * The two marks of one log (deploy/xmpp/README.md): up to where its entries are in hand, which lets more of them come, and up
 * to where they are settled, which lets the server forget them.
 */
export class EntryMarks {
  readonly log: string
  readonly #entries = new Map<number, Mark>()
  #next: number
  #inHand: number
  #settled: number
  /** Called when a mark has moved. */
  onMove: () => void = () => {}

  constructor(log: string, released: number) {
    this.log = log
    this.#next = released + 1
    this.#inHand = released
    this.#settled = released
  }

  get inHand(): number {
    return this.#inHand
  }

  get settled(): number {
    return this.#settled
  }

  /** Entries that are not settled yet. */
  get open(): number {
    return this.#next - 1 - this.#settled
  }

  /** The server tells its entries again from behind `released`; its last one is `last`. */
  restart(released: number, last: number): void {
    // Another replica has been here meanwhile, or the server's log is not the one it was.
    if (released >= this.#next || last < this.#next - 1) {
      this.#entries.clear()
      this.#next = released + 1
      this.#inHand = released
      this.#settled = released
    }
  }

  /**
   * True when the entry is new, false when it came before on an earlier connection. Throws when entries are missing between
   * the last one and this.
   */
  take(seq: number): boolean {
    if (seq < this.#next) return false
    if (seq > this.#next) throw new Error(`entry ${seq} came where ${this.#next} was due`)
    this.#entries.set(seq, { isInHand: false, isSettled: false })
    this.#next++
    return true
  }

  /** Damaged entries: nothing will come of them. */
  skip(from: number, to: number): void {
    for (let seq = Math.max(from, this.#next); seq <= to; seq++) {
      if (!this.take(seq)) continue
      this.settle(seq)
    }
  }

  takeInHand(seq: number): void {
    const mark = this.#entries.get(seq)
    if (!mark || mark.isInHand) return
    mark.isInHand = true
    this.#move()
  }

  settle(seq: number): void {
    const mark = this.#entries.get(seq)
    if (!mark) return
    mark.isInHand = true
    mark.isSettled = true
    this.#move()
  }

  #move(): void {
    const before = this.#inHand + this.#settled
    while (this.#entries.get(this.#inHand + 1)?.isInHand) this.#inHand++
    while (this.#entries.get(this.#settled + 1)?.isSettled) this.#entries.delete(++this.#settled)
    if (this.#settled > this.#inHand) this.#inHand = this.#settled
    if (this.#inHand + this.#settled !== before) this.onMove()
  }
}
