import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { MailboxRepository } from './mailbox-repository.ts'

/** What may wait for one user (spec xmpp.md §5); beyond it a message is in the archive alone. */
export const mostRows = 5000
export const mostBytes = 64 * 1024 * 1024

/** How long (ms) a count is believed, and how long one that is near the limit. */
const believedFor = 60_000
const believedNearLimit = 1000
const near = 0.8

/** Users whose counts are remembered: 150 bytes each, so 4 MB. A broadcast goes to more than that. */
const mostKnown = 25_000

interface Usage {
  rows: number
  bytes: number
  readAt: number
}

/** How full mailboxes are. Counts what this replica adds and removes; others' changes are seen when it reads again. */
export class MailboxLimits {
  readonly #mailbox: MailboxRepository
  readonly #now: () => number
  readonly #known = new LRUCache<number, Usage>(upTo(mostKnown))

  constructor(mailbox: MailboxRepository, now: () => number) {
    this.#mailbox = mailbox
    this.#now = now
  }

  /** Reads the counts of users about whom too little is known. */
  async prepare(users: Iterable<number>): Promise<void> {
    const now = this.#now()
    const unknown = [...new Set(users)].filter((user) => {
      const usage = this.#known.get(user)
      if (!usage) return true
      const isNear = usage.rows > mostRows * near || usage.bytes > mostBytes * near
      return now - usage.readAt > (isNear ? believedNearLimit : believedFor)
    })
    if (!unknown.length) return
    const found = await this.#mailbox.usage(unknown)
    for (const user of unknown) {
      const { rows, bytes } = found.get(user) ?? { rows: 0, bytes: 0 }
      this.#known.set(user, { rows, bytes, readAt: now })
    }
  }

  /** Counts a row when there is room for it. */
  take(user: number, bytes: number): boolean {
    const usage = this.#known.get(user)
    if (!usage) return true
    if (usage.rows >= mostRows || usage.bytes + bytes > mostBytes) return false
    usage.rows++
    usage.bytes += bytes
    return true
  }

  give(user: number, bytes: number): void {
    const usage = this.#known.get(user)
    if (!usage) return
    usage.rows--
    usage.bytes -= bytes
  }
}
