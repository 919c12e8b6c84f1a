import { LRUCache } from 'lru-cache'

/** A message that was decided on, as far as copies of it have to know. */
export class RecentMessage {
  /** The entry that brought it first. */
  readonly tap: string
  /** Undefined while it is being written. */
  #isTaken: boolean | undefined
  readonly #waiters: ((isTaken: boolean) => void)[] = []

  constructor(tap: string) {
    this.tap = tap
  }

  /** It has been written, or needed no writing; or it could not be. */
  end(isTaken: boolean): void {
    if (this.#isTaken) return
    this.#isTaken = isTaken
    for (const ended of this.#waiters.splice(0)) ended(isTaken)
  }

  whenEnded(ended: (isTaken: boolean) => void): void {
    if (this.#isTaken === undefined) this.#waiters.push(ended)
    else ended(this.#isTaken)
  }
}

/** A week (spec xmpp.md §3), as far as memory goes: what it forgets, the archive knows. */
const rememberFor = 7 * 86_400_000
const most = 200_000

/**
 * Messages by sender, id and conversation. Apps send again what was not confirmed: a copy costs no question and no write, and
 * is confirmed when the first one is.
 */
export type RecentMessages = LRUCache<string, RecentMessage>

export const createRecentMessages = (): RecentMessages =>
  new LRUCache<string, RecentMessage>({ max: most, ttl: rememberFor, ttlResolution: 1000 })
