import type { RowReader } from './packed-rows.ts'

/** A message that holds the words. */
export interface Match {
  /** Hex. */
  id: string
  timeSend: number
  ts: number
}

/** Newest first: the order of the answer. */
const inOrder = (a: Match, b: Match) => b.timeSend - a.timeSend || b.ts - a.ts || (a.id < b.id ? 1 : -1)

/** Above so many unproven matches they are proven before more are read. */
const mostPending = 20_000
/** Ids of one question to the archive; a few are asked side by side. */
const askedTogether = 250

/**
 * Gathers matches in any order and keeps the newest `most` that are visible. `prove` gives those of some ids (hex) that are.
 * A message may be added several times; it counts once.
 */
export class NewestMatches {
  readonly #most: number
  readonly #prove: (ids: readonly string[]) => Promise<Set<string>>
  #pending: Match[] = []
  #visible: Match[] = []
  readonly #known = new Set<string>()

  constructor(most: number, prove: (ids: readonly string[]) => Promise<Set<string>>) {
    this.#most = most
    this.#prove = prove
  }

  add({ timeSend, ts, hexId }: Pick<RowReader, 'timeSend' | 'ts' | 'hexId'>): void {
    if (timeSend < this.#floor || this.#known.has(hexId)) return
    this.#known.add(hexId)
    this.#pending.push({ id: hexId, timeSend, ts })
  }

  get isCrowded(): boolean {
    return this.#pending.length > mostPending
  }

  /** Proves what is newer than `unread`: nothing that was not added yet comes before that. */
  async settle(unread = Number.NEGATIVE_INFINITY): Promise<void> {
    const ready = this.#pending.filter(({ timeSend }) => timeSend > unread).sort(inOrder)
    this.#pending = this.#pending.filter(({ timeSend }) => timeSend <= unread)
    for (let at = 0; at < ready.length; ) {
      const last = this.#visible[this.#most - 1]
      if (last && inOrder(last, ready[at]!) < 0) break
      const some = ready.slice(at, at + Math.max(this.#most - this.#visible.length, askedTogether))
      const visible = await this.#visibleAmong(some)
      this.#visible = [...this.#visible, ...visible].sort(inOrder).slice(0, this.#most)
      at += some.length
    }
    const floor = this.#floor
    this.#pending = this.#pending.filter(({ timeSend }) => timeSend >= floor)
  }

  async #visibleAmong(matches: readonly Match[]): Promise<Match[]> {
    const parts = Array.from({ length: Math.ceil(matches.length / askedTogether) }, (_, n) =>
      matches.slice(n * askedTogether, (n + 1) * askedTogether),
    )
    const proven = await Promise.all(parts.map((part) => this.#prove(part.map(({ id }) => id))))
    return parts.flatMap((part, n) => part.filter(({ id }) => proven[n]!.has(id)))
  }

  /** Matches that are at hand or proven, to guess how many more are needed. */
  get count(): number {
    return this.#pending.length + this.#visible.length
  }

  countNewer(unread: number): number {
    const newer = ({ timeSend }: Match) => timeSend > unread
    return this.#pending.filter(newer).length + this.#visible.filter(newer).length
  }

  get missing(): number {
    return this.#most - this.#visible.length
  }

  /** Nothing as old as this, or older, can be in the answer any more. */
  isDone(unread: number): boolean {
    return this.#floor > unread
  }

  get newest(): readonly Match[] {
    return this.#visible
  }

  get #floor(): number {
    return this.#visible[this.#most - 1]?.timeSend ?? Number.NEGATIVE_INFINITY
  }
}
