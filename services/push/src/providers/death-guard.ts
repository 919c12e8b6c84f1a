import { LRUCache } from 'lru-cache'

const bucketMs = 600_000
const windowBuckets = 6
/** Guards that are kept. Users may name any number of servers. */
const mostGuards = 10_000

export interface DeathGuardOptions {
  /** Of the answers of the last hour, so large a share may be deaths. */
  share: number
  /** So many an hour are believed whatever their share. */
  always: number
  now: () => number
}

interface Bucket {
  at: number
  answers: number
  dead: number
}

/**
 * Whether a provider may be believed that a token is dead. A fault of ours (another project's key, a package renamed) can make
 * it say so of all tokens: beyond a share of the answers of the last hour none is.
 */
export class DeathGuard {
  readonly #share: number
  readonly #always: number
  readonly #now: () => number
  #buckets: Bucket[] = []

  constructor(options: DeathGuardOptions) {
    this.#share = options.share
    this.#always = options.always
    this.#now = options.now
  }

  /** Counts a token that the provider took or called dead. Returns whether it may be removed. */
  count(isDead: boolean): boolean {
    const bucket = this.#current()
    bucket.answers++
    if (!isDead) return false
    bucket.dead++
    const dead = this.#buckets.reduce((sum, { dead }) => sum + dead, 0)
    const answers = this.#buckets.reduce((sum, { answers }) => sum + answers, 0)
    return dead <= this.#always || dead <= this.#share * answers
  }

  #current(): Bucket {
    const at = Math.floor(this.#now() / bucketMs)
    const last = this.#buckets.at(-1)
    if (last?.at === at) return last
    const bucket = { at, answers: 0, dead: 0 }
    this.#buckets = [...this.#buckets.filter((one) => one.at > at - windowBuckets), bucket]
    return bucket
  }
}

/** A guard for each source of answers: what one server says of its tokens tells nothing about those of another. */
export class DeathGuards {
  readonly #options: DeathGuardOptions
  readonly #guards = new LRUCache<string, DeathGuard>({ max: mostGuards })

  constructor(options: DeathGuardOptions) {
    this.#options = options
  }

  of(source: string): DeathGuard {
    const known = this.#guards.get(source)
    if (known) return known
    const guard = new DeathGuard(this.#options)
    this.#guards.set(source, guard)
    return guard
  }
}
