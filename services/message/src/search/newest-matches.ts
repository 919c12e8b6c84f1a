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

/** Keeps the newest `most` matches, in whatever order and however often they come. */
export class NewestMatches {
  readonly #most: number
  #matches = new Map<string, Match>()

  constructor(most: number) {
    this.#most = most
  }

  add({ hexId: id, timeSend, ts }: Pick<RowReader, 'hexId' | 'timeSend' | 'ts'>): void {
    this.#matches.set(id, { id, timeSend, ts })
    if (this.#matches.size >= 4 * this.#most) this.#cut()
  }

  #cut(): Match[] {
    const newest = [...this.#matches.values()].sort(inOrder).slice(0, this.#most)
    this.#matches = new Map(newest.map((match) => [match.id, match]))
    return newest
  }

  get newest(): readonly Match[] {
    return this.#cut()
  }

  /** Whether nothing as old as this (seconds), or older, can be in the answer any more. */
  isDone(unread: number): boolean {
    if (this.#matches.size < this.#most) return false
    const newest = this.#cut()
    return newest.length === this.#most && newest.at(-1)!.timeSend > unread
  }
}
