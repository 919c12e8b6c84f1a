import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import type { MailboxRepository, RowChange } from './mailbox-repository.ts'

const mostAtOnce = 500
/** A bulk that failed is tried again with so many times less: what stands in its way may concern few rows of it. */
const shrinks = 8

/**
 * Changes rows of mailboxes one bulk after the other, so that changes of one row keep their order. What MongoDB can't take
 * now is tried again for ever. Memory is bounded by what streams may owe and logs may hold.
 */
export class MailboxWriter {
  readonly #mailbox: MailboxRepository
  readonly #log: Logger
  #waiting: { change: RowChange; done?: () => void }[] = []
  #working: Promise<void> | undefined
  readonly #closing = new AbortController()

  constructor(mailbox: MailboxRepository, log: Logger) {
    this.#mailbox = mailbox
    this.#log = log
  }

  /** `done` is called when it is written durably. */
  change(change: RowChange, done?: () => void): void {
    this.#waiting.push({ change, ...(done ? { done } : {}) })
    this.#working ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#work())
  }

  async #work(): Promise<void> {
    let attempt = 0
    let atOnce = mostAtOnce
    while (this.#waiting.length) {
      const batch = this.#waiting.slice(0, atOnce)
      try {
        await this.#mailbox.apply(batch.map(({ change }) => change))
        attempt = 0
        atOnce = Math.min(mostAtOnce, 2 * atOnce)
      } catch (error) {
        if (this.#closing.signal.aborted) break
        atOnce = Math.ceil(batch.length / shrinks)
        this.#log.warn({ reason: String(error), attempt }, 'mailboxes could not be written; trying again')
        await delay(Math.min(100 * 2 ** attempt++, 1000), undefined, { signal: this.#closing.signal }).catch(() => {})
        continue
      }
      this.#waiting.splice(0, batch.length)
      for (const { done } of batch) done?.()
    }
    this.#working = undefined
  }

  /** Writes what waits; gives up at the first failure: the XMPP servers' logs still have it. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#working
  }
}
