import { ContractError } from '@im/contracts'
import { type Algorithm, hash, type Options, verify } from '@node-rs/argon2'
import pLimit, { type LimitFunction } from 'p-limit'

export interface HashSettings {
  argon2MemoryKib: number
  argon2Passes: number
  argon2Lanes: number
  hashConcurrency: number
  hashQueue: number
}

const phc = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/

/**
 * Hashes the 32 characters of the md5 with Argon2id (crypto.md §1). Each hash takes 19 MiB and about 20 ms of a core, so only a
 * few run at a time and a bounded number wait. Beyond that, and for callers who left, ServiceUnavailable is thrown.
 */
export class PasswordHasher {
  readonly #options: Options
  readonly #limit: LimitFunction
  readonly #longestQueue: number
  readonly #dummyHash: string

  /** Also makes the dummy hash that is checked for accounts that do not exist. */
  static async create(settings: HashSettings): Promise<PasswordHasher> {
    return new PasswordHasher(settings, await hash('no account has this password', optionsOf(settings)))
  }

  private constructor(settings: HashSettings, dummyHash: string) {
    this.#options = optionsOf(settings)
    this.#limit = pLimit(settings.hashConcurrency)
    this.#longestQueue = settings.hashQueue
    this.#dummyHash = dummyHash
  }

  /** Returns a hash with a new salt, as PHC text. */
  hash(passwordMd5: string, signal?: AbortSignal): Promise<string> {
    return this.#run(() => hash(passwordMd5, this.#options), signal)
  }

  /** Without a stored hash it checks a dummy and returns false, so that the time does not tell which accounts exist. */
  async verify(stored: string | undefined, passwordMd5: string, signal?: AbortSignal): Promise<boolean> {
    const isRight = await this.#run(() => verify(stored ?? this.#dummyHash, passwordMd5), signal)
    return stored !== undefined && isRight
  }

  /** Whether a hash was made with less memory or fewer passes than now, or another number of lanes. */
  isWeaker(stored: string): boolean {
    const [, memory, passes, lanes] = phc.exec(stored) ?? []
    const { memoryCost = 0, timeCost = 0, parallelism } = this.#options
    return !memory || Number(memory) < memoryCost || Number(passes) < timeCost || Number(lanes) !== parallelism
  }

  async #run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#limit.pendingCount >= this.#longestQueue) throw new ContractError('ServiceUnavailable')
    return await this.#limit(() => {
      if (signal?.aborted) throw new ContractError('ServiceUnavailable')
      return work()
    })
  }
}

const optionsOf = (settings: HashSettings): Options => ({
  algorithm: 2 satisfies Algorithm.Argon2id,
  memoryCost: settings.argon2MemoryKib,
  timeCost: settings.argon2Passes,
  parallelism: settings.argon2Lanes,
  outputLen: 32,
})
