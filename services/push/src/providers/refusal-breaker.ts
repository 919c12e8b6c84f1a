import type { IBreaker } from 'cockatiel'

/** Refusals until the circuit opens. */
const refusalsToOpen = 3

/**
 * Opens a circuit when a provider refuses our credentials again and again. What is refused of one device counts once, however
 * often that one is tried: a bundle that is not ours keeps nothing from the others.
 */
export class RefusalBreaker implements IBreaker {
  /** Not stored. */
  state: unknown
  readonly #tokens = new Set<string>()
  #calls = 0

  /** The next failure is the refusal of these tokens; of none: it came before any was looked at. */
  note(tokens: readonly string[]): void {
    if (!tokens.length) this.#calls++
    for (const token of tokens) if (this.#tokens.size < refusalsToOpen) this.#tokens.add(token)
  }

  success(): void {
    this.#tokens.clear()
    this.#calls = 0
  }

  failure(): boolean {
    return this.#calls + this.#tokens.size >= refusalsToOpen
  }
}
