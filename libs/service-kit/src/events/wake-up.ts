/** Ends a wait, and remembers a notification that came while nobody waited. */
export class WakeUp {
  isNotified = false
  #onNotify: (urgent: boolean) => void = () => {}

  notify({ urgent = false } = {}): void {
    this.isNotified = true
    this.#onNotify(urgent)
  }

  reset(): void {
    this.isNotified = false
  }

  /** Resolves at a notification, after `ms`, or when `signal` aborts. */
  wait(ms: number, { urgentOnly = false, signal }: { urgentOnly?: boolean; signal: AbortSignal }): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        this.#onNotify = () => {}
        resolve()
      }
      // No `delay` with an abort signal: each commit ends a wait, and making an AbortError is slow.
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end, { once: true })
      this.#onNotify = (urgent) => {
        if (urgent || !urgentOnly) end()
      }
      if (signal.aborted) end()
    })
  }
}
