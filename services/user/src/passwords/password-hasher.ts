import { ContractError } from '@im/contracts'
import { type Algorithm, hash, type Options, verify } from '@node-rs/argon2'
import pLimit from 'p-limit'

export interface HashSettings {
  argon2MemoryKib: number
  argon2Passes: number
  argon2Lanes: number
  hashConcurrency: number
  hashQueue: number
}

const phc = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/

/**
 * Argon2id over the 32 characters of the md5 (crypto.md §1). Each hash takes 19 MiB and about 20 ms of one core, so only some
 * run at a time, a bounded number wait, and the rest get ServiceUnavailable instead of an answer nobody waits for any more.
 */
export class PasswordHasher {
  readonly #options: Options
  readonly #limit: ReturnType<typeof pLimit>
  readonly #queue: number
  #dummy: Promise<string> | undefined

  constructor(settings: HashSettings) {
    this.#options = {
      algorithm: 2 satisfies Algorithm.Argon2id,
      memoryCost: settings.argon2MemoryKib,
      timeCost: settings.argon2Passes,
      parallelism: settings.argon2Lanes,
      outputLen: 32,
    }
    this.#limit = pLimit(settings.hashConcurrency)
    this.#queue = settings.hashQueue
  }

  /** PHC text of a new salt. */
  hash(passwordMd5: string): Promise<string> {
    return this.#run(() => hash(passwordMd5, this.#options))
  }

  /** Without a hash it costs the same and is false: a login tells nothing by its time about who exists. */
  async verify(stored: string | undefined, passwordMd5: string): Promise<boolean> {
    if (stored) return this.#run(() => verify(stored, passwordMd5))
    this.#dummy ??= this.hash('no account has this password')
    const dummy = await this.#dummy
    await this.#run(() => verify(dummy, passwordMd5))
    return false
  }

  /** True for a hash made with less memory or fewer passes than now, or another number of lanes. */
  isWeaker(stored: string): boolean {
    const [, memory, passes, lanes] = phc.exec(stored) ?? []
    const { memoryCost = 0, timeCost = 0, parallelism } = this.#options
    return !memory || Number(memory) < memoryCost || Number(passes) < timeCost || Number(lanes) !== parallelism
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#limit.pendingCount >= this.#queue)
      throw new ContractError('ServiceUnavailable', { detail: 'too many logins at this moment' })
    return await this.#limit(work)
  }
}
