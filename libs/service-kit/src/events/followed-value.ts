import type { EventType } from '@im/contracts'
import type { Logger } from '../logs.ts'
import type { Bus, Subscription } from './bus.ts'

/**
 * How often it is read when nobody tells of a change (ms). Owners cache their own value for a second, so all know a change
 * within five.
 */
const readEvery = 4000

/**
 * A value that another service owns, such as its configuration. It is read at the start, every four seconds, and at once when
 * the owner broadcasts that it changed. While the owner is away the last known value counts.
 */
export class FollowedValue<T> {
  readonly #readOwner: () => Promise<T>
  readonly #log: Logger
  readonly #subscriptions: Subscription[]
  #known: T | undefined
  #reading: Promise<T> | undefined
  #mustRepeat = false
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: { read: () => Promise<T>; changed: EventType; bus: Bus; log: Logger }) {
    const { bus } = options
    this.#readOwner = options.read
    this.#log = options.log
    this.#subscriptions = [
      bus.listen(options.changed, () => this.#readAnew()),
      // What was broadcast while there was no connection was not heard.
      bus.onConnection((connected) => {
        if (connected) this.#readAnew()
      }),
    ]
    this.#readAnew()
  }

  /** The last known value; undefined while the owner has not answered yet. */
  get current(): T | undefined {
    return this.#known
  }

  /** The last known value; waits for the first one, and rejects when that can't be read. */
  async get(): Promise<T> {
    return this.#known ?? (await this.#read())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await Promise.all(this.#subscriptions.map((subscription) => subscription.close()))
  }

  #readAnew(): void {
    clearTimeout(this.#timer)
    this.#mustRepeat = this.#reading !== undefined
    this.#read().catch((error: unknown) =>
      this.#log.warn({ err: error }, 'a value of another service could not be read'),
    )
  }

  #read(): Promise<T> {
    this.#reading ??= this.#readOwner()
      .then((value) => {
        this.#known = value
        return value
      })
      .finally(() => {
        this.#reading = undefined
        if (this.#isClosed) return
        // A change during the read may not be in its result.
        if (this.#mustRepeat) return this.#readAnew()
        clearTimeout(this.#timer)
        this.#timer = setTimeout(() => this.#readAnew(), readEvery).unref()
      })
    return this.#reading
  }
}
