import { ContractError } from '@im/contracts'
import { GatheredQuestions, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/** How long (ms) an answer counts without a question, while events tell of changes and while they may not arrive. */
const freshFor = 60_000
const freshWithoutEvents = 1000
/** A refusal needs an answer that is not older than this. */
const freshForRefusal = 1000
/** How old an answer may be when the owner does not answer (spec xmpp.md §8). */
const usableFor = 600_000

/** After so many failures in a row nobody is asked for a while: messages would only wait for the same failure. */
const failuresInRow = 3
const restAfterFailures = 1000

interface Known<T> {
  fact: T
  askedAt: number
  /** Something may have changed since: good only when nobody answers. */
  isOld: boolean
  /** An event told that it has changed since. */
  hasChanged: boolean
}

/** How facts tell what is old. */
export interface FactsClock {
  now: () => number
  isInTouch: () => boolean
}

/** Facts that another service owns: asked for many at once, kept until an event tells of a change. */
export class KnownFacts<K extends string | number, T extends object> {
  readonly #askOwner: (keys: K[]) => Promise<Map<K, T>>
  readonly #now: () => number
  readonly #known: LRUCache<K, Known<T>>
  readonly #asking = new Map<K, Promise<T>>()
  /** When an event told of a change: an answer to an older question is old. */
  readonly #changedAt = new LRUCache<K, number>({ ...upTo(50_000), ttl: usableFor })
  #allChangedAt = 0
  readonly #questions = new GatheredQuestions<K, T>((keys) => this.#put(keys))
  /** Of `#asking`, those whose question is not put yet. */
  readonly #unsent = new Map<K, Promise<T>>()
  #failures = 0
  #restUntil = 0
  readonly #isInTouch: () => boolean
  /** False while events of changes may be missed. */
  isConnected = true

  /** `now` tells ms by a clock that nobody sets; `isInTouch` whether changes of a second ago and before were heard. */
  constructor(options: { ask: (keys: K[]) => Promise<Map<K, T>>; max: number } & FactsClock) {
    this.#askOwner = options.ask
    this.#now = options.now
    this.#isInTouch = options.isInTouch
    this.#known = new LRUCache(upTo(options.max))
  }

  /** What is known without a question; with `forRefusal`, only when it was asked just now. */
  peek(key: K, { forRefusal = false } = {}): T | undefined {
    const known = this.#known.get(key)
    if (!known || known.isOld) return undefined
    const age = this.#now() - known.askedAt
    const hearsEvents = this.isConnected && this.#isInTouch()
    const limit = forRefusal ? freshForRefusal : hearsEvents ? freshFor : freshWithoutEvents
    if (age < limit) return known.fact
    // Used once more, and asked about beside it.
    if (!forRefusal && hearsEvents && age < usableFor) {
      this.ask(key).catch(() => {})
      return known.fact
    }
    return undefined
  }

  /**
   * Asks the owner. When it does not answer, an answer of the last ten minutes counts that no event has told to be otherwise; without one
   * it throws ServiceUnavailable. With `anew` the question is sent after this call, so that it sees whatever was true before.
   */
  async ask(key: K, { anew = false } = {}): Promise<T> {
    try {
      return await this.#asked(key, anew)
    } catch (error) {
      const known = this.#usable(key)
      if (known && !known.hasChanged) return known.fact
      throw error
    }
  }

  #asked(key: K, anew: boolean): Promise<T> {
    const running = (anew ? this.#unsent : this.#asking).get(key)
    if (running) return running
    const answer = this.#askFor(key).finally(() => {
      for (const waiting of [this.#asking, this.#unsent]) if (waiting.get(key) === answer) waiting.delete(key)
    })
    this.#asking.set(key, answer)
    this.#unsent.set(key, answer)
    return answer
  }

  /** The same for what is shown: when the owner does not answer, any answer of the last ten minutes. */
  async of(key: K): Promise<T> {
    const known = this.peek(key)
    if (known) return known
    try {
      return await this.#asked(key, false)
    } catch (error) {
      const usable = this.#usable(key)
      if (usable) return usable.fact
      throw error
    }
  }

  #usable(key: K): Known<T> | undefined {
    const known = this.#known.get(key)
    return known && this.#now() - known.askedAt < usableFor ? known : undefined
  }

  /** Something about it changed: the next answer must be a new one. */
  forget(key: K): void {
    this.#changedAt.set(key, this.#now())
    const known = this.#known.get(key)
    if (known) known.isOld = known.hasChanged = true
    this.#asking.delete(key)
  }

  /** Events may have been missed: all has to be asked again. */
  forgetAll(): void {
    this.#allChangedAt = this.#now()
    for (const known of this.#known.values()) known.isOld = true
    this.#asking.clear()
  }

  async #askFor(key: K): Promise<T> {
    const askedAt = this.#now()
    try {
      if (askedAt < this.#restUntil)
        throw new ContractError('ServiceUnavailable', { detail: 'the owner does not answer' })
      const fact = await this.#questions.ask(key)
      if (!fact) throw new ContractError('ServiceUnavailable', { detail: 'the owner gave no answer' })
      const known = this.#known.get(key)
      const hasChanged = askedAt <= (this.#changedAt.get(key) ?? 0)
      const isOld = hasChanged || askedAt <= this.#allChangedAt
      if (!known || known.askedAt <= askedAt) this.#known.set(key, { fact, askedAt, isOld, hasChanged })
      return fact
    } catch (error) {
      throw new ContractError('ServiceUnavailable', { cause: error })
    }
  }

  async #put(keys: K[]): Promise<(T | undefined)[]> {
    this.#unsent.clear()
    try {
      const facts = await this.#askOwner(keys)
      this.#failures = 0
      return keys.map((key) => facts.get(key))
    } catch (error) {
      if (++this.#failures >= failuresInRow) this.#restUntil = this.#now() + restAfterFailures
      throw error
    }
  }
}
