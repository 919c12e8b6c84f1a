import { createHmac, randomBytes } from 'node:crypto'
import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/**
 * Passwords that were right a short while ago, kept as HMACs under a key that never leaves this process. Each belongs to one
 * version of the password, so a changed password is checked anew.
 */
export class ProvenPasswords {
  readonly #key = randomBytes(32)
  readonly #proven: LRUCache<number, string>

  constructor(options: { max?: number; lifetime?: number } = {}) {
    this.#proven = new LRUCache({ ...upTo(options.max ?? 100_000), ttl: options.lifetime ?? 3_600_000 })
  }

  has(userId: number, version: number, passwordMd5: string): boolean {
    return this.#proven.get(userId) === this.#mac(userId, version, passwordMd5)
  }

  remember(userId: number, version: number, passwordMd5: string): void {
    this.#proven.set(userId, this.#mac(userId, version, passwordMd5))
  }

  #mac(userId: number, version: number, passwordMd5: string): string {
    return createHmac('sha256', this.#key).update(`${userId}:${version}:${passwordMd5}`).digest('base64')
  }
}
