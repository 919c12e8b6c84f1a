const bucketMs = 600_000
const windowBuckets = 6

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

  /** `always`: so many an hour are believed whatever their share. */
  constructor(options: { share: number; always: number; now: () => number }) {
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
