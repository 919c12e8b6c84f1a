import type { Logger } from '@im/service-kit'

const againMs = 60_000

/** A log for what may happen thousands of times a second: of each kind one line a minute is written, with how many there were. */
export class RareLog {
  readonly always: Logger
  readonly #now: () => number
  readonly #kinds = new Map<string, { writtenAt: number; unwritten: number }>()

  constructor(log: Logger, now: () => number) {
    this.always = log
    this.#now = now
  }

  rarely(level: 'warn' | 'error', kind: string, details: object, text: string): void {
    const now = this.#now()
    const last = this.#kinds.get(kind)
    if (last && last.writtenAt > now - againMs) {
      last.unwritten++
      return
    }
    this.always[level]({ ...details, unwrittenBefore: last?.unwritten ?? 0 }, text)
    this.#kinds.set(kind, { writtenAt: now, unwritten: 0 })
  }
}
