import { LRUCache } from 'lru-cache'
import { upTo } from '../up-to.ts'
import type { Limit } from './rate-counters.ts'

interface Window {
  count: number
  endsAt: number
  /** What was counted, where each counts once. */
  causes?: Set<string>
}

/** Counts in the memory of this process. Keys that fall out of the cache are forgotten. */
export class MemoryCounters {
  readonly #windows = new LRUCache<string, Window>(upTo(50_000))
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Counts one in all limits; or in none, and returns for each limit the milliseconds until it has room (0 if it has). */
  take(limits: readonly Limit[]): number[] | undefined {
    const waits = limits.map(({ key, max }) => {
      const window = this.#window(key)
      return window && window.count >= max ? window.endsAt - this.#now() : 0
    })
    if (waits.some((wait) => wait > 0)) return waits
    for (const { key, seconds } of limits) {
      const window = this.#window(key)
      if (window) window.count++
      else this.#windows.set(key, { count: 1, endsAt: this.#now() + seconds * 1000 })
    }
    return undefined
  }

  /** Counts up to `wanted` and returns how many, or the negative number of milliseconds until there is room for `least`. */
  takeBlock({ key, max, seconds }: Limit, wanted: number, least = 1): number {
    const window = this.#window(key) ?? { count: 0, endsAt: this.#now() + seconds * 1000 }
    const granted = Math.min(wanted, max - window.count)
    if (granted < least) return this.#now() - window.endsAt
    this.#windows.set(key, { ...window, count: window.count + granted })
    return granted
  }

  /** Counts a cause once. Returns 0, or the milliseconds until the window ends. */
  takeOnce({ key, max, seconds }: Limit, cause: string): number {
    const { causes = new Set<string>(), endsAt = this.#now() + seconds * 1000 } = this.#window(key) ?? {}
    if (!causes.has(cause) && causes.size >= max) return endsAt - this.#now()
    causes.add(cause)
    this.#windows.set(key, { count: causes.size, endsAt, causes })
    return 0
  }

  giveBackOnce(key: string, cause: string): void {
    this.#window(key)?.causes?.delete(cause)
  }

  giveBack(key: string): void {
    const window = this.#window(key)
    if (window && window.count > 0) window.count--
  }

  clear(key: string): void {
    this.#windows.delete(key)
  }

  #window(key: string) {
    const window = this.#windows.get(key)
    return window && window.endsAt > this.#now() ? window : undefined
  }
}
