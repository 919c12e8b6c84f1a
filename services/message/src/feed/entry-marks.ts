interface Mark {
  isInHand: boolean
  isSettled: boolean
  /** What comes of it is on its way. */
  isRun: boolean
  /** Called when it is settled. */
  settled?: () => void
}

const settledBefore = Promise.resolve()

/**
 * The two marks of one log on one connection (deploy/xmpp/README.md): up to where its entries are in hand, which lets more of them
 * come, and up to where they are settled, which lets the server forget them.
 */
export class EntryMarks {
  readonly log: string
  readonly #entries = new Map<number, Mark>()
  #next: number
  #inHand: number
  #settled: number
  /** What was run on earlier connections: all up to a number, and some behind it. The promises resolve when these are settled. */
  readonly #before: { upTo: number; others: ReadonlyMap<number, Promise<void>> }
  /** Called when a mark has moved. */
  onMove: () => void = () => {}

  constructor(log: string, released: number, before?: EntryMarks) {
    this.log = log
    this.#next = released + 1
    this.#inHand = released
    this.#settled = released
    this.#before = before?.log === log ? before.#allRun() : { upTo: 0, others: new Map() }
  }

  #allRun(): { upTo: number; others: ReadonlyMap<number, Promise<void>> } {
    const upTo = Math.max(this.#settled, this.#before.upTo)
    const others = new Map([...this.#before.others].filter(([seq]) => seq > upTo))
    for (const [seq, mark] of this.#entries)
      if (mark.isSettled) others.set(seq, settledBefore)
      else if (mark.isRun)
        others.set(
          seq,
          new Promise((resolve) => {
            mark.settled = resolve
          }),
        )
    return { upTo, others }
  }

  /** The last entry that came. */
  get last(): number {
    return this.#next - 1
  }

  /** Of an entry that was run on an earlier connection: resolves when nothing of it can get lost but what was answered. */
  runBefore(seq: number): Promise<void> | undefined {
    return seq <= this.#before.upTo ? settledBefore : this.#before.others.get(seq)
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

  /** Throws when it is not the one behind the last. */
  take(seq: number): void {
    if (seq !== this.#next) throw new Error(`entry ${seq} came where ${this.#next} was due`)
    this.#entries.set(seq, { isInHand: false, isSettled: false, isRun: false })
    this.#next++
  }

  /** Damaged entries: nothing will come of them. */
  skip(from: number, to: number): void {
    for (let seq = Math.max(from, this.#next); seq <= to; seq++) {
      this.take(seq)
      this.settle(seq)
    }
  }

  takeInHand(seq: number): void {
    const mark = this.#entries.get(seq)
    if (!mark || mark.isInHand) return
    mark.isInHand = true
    this.#move()
  }

  run(seq: number): void {
    this.takeInHand(seq)
    const mark = this.#entries.get(seq)
    if (mark) mark.isRun = true
  }

  settle(seq: number): void {
    const mark = this.#entries.get(seq)
    if (!mark) return
    mark.isInHand = true
    mark.isSettled = true
    mark.settled?.()
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
