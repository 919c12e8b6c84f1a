import { createHmac, randomBytes } from 'node:crypto'
import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/** A login as it was proven: the version of its password changes with the password. */
export interface ProvenLogin {
  userId: number
  version: number
  passwordMd5: string
  /** The address under which limits count the client. */
  address: string
}

/**
 * Passwords that were right at an address a short while ago, kept as HMACs under a key that never leaves this process. Nobody can guess
 * here past the limits of logins: elsewhere nothing is known, and after a wrong guess nothing is known at that address either.
 */
export class ProvenPasswords {
  readonly #key = randomBytes(32)
  readonly #proven: LRUCache<string, string>

  constructor(options: { max?: number; lifetime?: number } = {}) {
    this.#proven = new LRUCache({ ...upTo(options.max ?? 100_000), ttl: options.lifetime ?? 3_600_000 })
  }

  confirm(login: ProvenLogin): boolean {
    const isRight = this.#proven.get(keyOf(login)) === this.#mac(login)
    if (!isRight) this.#proven.delete(keyOf(login))
    return isRight
  }

  remember(login: ProvenLogin): void {
    this.#proven.set(keyOf(login), this.#mac(login))
  }

  #mac({ userId, version, passwordMd5 }: ProvenLogin): string {
    return createHmac('sha256', this.#key).update(`${userId}:${version}:${passwordMd5}`).digest('base64')
  }
}

const keyOf = ({ userId, address }: ProvenLogin) => `${userId} ${address}`
