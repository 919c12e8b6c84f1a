import type { ServerResponse } from 'node:http'

/** How long an answer may take (ms) unless the contract says otherwise. */
export const defaultTimeoutMs = 5000

/** Knows how long somebody waits for the answer to a call: until the deadline, and while the connection is open. */
export class Lifetime {
  /** Milliseconds since 1970, by the clock of this process. */
  readonly deadline: number
  readonly #answer: ServerResponse
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(answer: ServerResponse, timeoutMs: number) {
    this.#answer = answer
    this.deadline = Date.now() + timeoutMs
  }

  /** True when nobody waits any more. */
  get isOver(): boolean {
    const isAborted = this.#controller?.signal.aborted === true
    return isAborted || this.#answer.destroyed || Date.now() >= this.deadline
  }

  /** Created on first use, because most handlers never ask for it. */
  get signal(): AbortSignal {
    this.#controller ??= this.#watch()
    return this.#controller.signal
  }

  /** To be called when the answer is written: nothing is aborted any more. */
  end(): void {
    clearTimeout(this.#timer)
    this.#answer.off('close', this.#abort)
  }

  #watch(): AbortController {
    const controller = new AbortController()
    if (this.isOver) controller.abort()
    else {
      this.#answer.once('close', this.#abort)
      this.#timer = setTimeout(this.#abort, this.deadline - Date.now())
    }
    return controller
  }

  readonly #abort = () => this.#controller?.abort()
}
