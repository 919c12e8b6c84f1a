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
const provenAtOnce = 500

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
    for (let at = 0; at < ready.length; at += provenAtOnce) {
      const last = this.#visible[this.#most - 1]
      if (last && inOrder(last, ready[at]!) < 0) break
      const some = ready.slice(at, at + provenAtOnce)
      const visible = await this.#prove(some.map(({ id }) => id))
      this.#visible = [...this.#visible, ...some.filter(({ id }) => visible.has(id))].sort(inOrder).slice(0, this.#most)
    }
    const floor = this.#floor
    this.#pending = this.#pending.filter(({ timeSend }) => timeSend >= floor)
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
