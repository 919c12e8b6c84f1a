import { setTimeout as delay } from 'node:timers/promises'

const longestMs = 60_000

/** A pause that a provider asked for. While it lasts everybody waits; it doubles until a call is taken again. */
export class SlowDown {
  readonly #firstMs: number
  readonly #now: () => number
  #until = 0
  #askedAt = 0
  #times = 0

  constructor(options: { firstMs: number; now: () => number }) {
    this.#firstMs = options.firstMs
    this.#now = options.now
  }

  get leftMs(): number {
    return Math.max(0, this.#until - this.#now())
  }

  /**
   * `calledAt` is when the refused call began: those that ran when the pause was asked for say nothing new. Who asks for no time at
   * all gets the same pause as who does not say how long.
   */
  pause(retryAfterMs: number | undefined, calledAt: number): void {
    const now = this.#now()
    if (retryAfterMs) this.#until = Math.max(this.#until, now + retryAfterMs)
    else if (calledAt >= this.#askedAt) {
      const pauseMs = Math.min(longestMs, this.#firstMs * 2 ** this.#times++)
      // Replicas that were refused together come back one after another.
      this.#until = Math.max(this.#until, now + pauseMs * (0.75 + Math.random() / 2))
    }
    this.#askedAt = now
  }

  /** A call was taken. */
  reset(calledAt: number): void {
    if (calledAt >= this.#askedAt) this.#times = 0
  }

  /** Resolves after the pause, at `until` (ms), or when `signal` aborts. */
  async wait(until: number, signal: AbortSignal): Promise<void> {
    for (let left = this.leftMs; left > 0 && !signal.aborted && this.#now() < until; left = this.leftMs)
      await delay(Math.min(left, until - this.#now()), undefined, { signal }).catch(() => {})
  }
}
