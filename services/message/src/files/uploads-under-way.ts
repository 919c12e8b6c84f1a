import { ContractError } from '@im/contracts'
import { limitError } from '@im/service-kit'

/** Uploads of one user at once, in one process. */
const mostOfUser = 20
/** Bytes that an upload may bring before it has shown its token, and that all such uploads have on disk together. */
const unknown = { ofUpload: 8 * 1024 * 1024, ofAll: 256 * 1024 * 1024 }

/** Bounds what is on disk before it counts for anybody. */
export class UploadsUnderWay {
  readonly #ofUser = new Map<number, number>()
  #unknownBytes = 0

  /** Rejects with RateLimited when the user has too many. */
  async asUser<T>(user: number, work: () => Promise<T>): Promise<T> {
    const count = this.#ofUser.get(user) ?? 0
    if (count >= mostOfUser) throw limitError('RateLimited', 1)
    this.#ofUser.set(user, count + 1)
    try {
      return await work()
    } finally {
      const left = (this.#ofUser.get(user) ?? 1) - 1
      if (left > 0) this.#ofUser.set(user, left)
      else this.#ofUser.delete(user)
    }
  }

  /** What an upload of nobody known brings. Throws TokenMissing when it is too much. */
  ofUnknown() {
    let bytes = 0
    return {
      take: (more: number): void => {
        if (bytes + more > unknown.ofUpload || this.#unknownBytes + more > unknown.ofAll)
          throw new ContractError('TokenMissing', { detail: 'access_token must come before long files' })
        bytes += more
        this.#unknownBytes += more
      },
      giveBack: (): void => {
        this.#unknownBytes -= bytes
        bytes = 0
      },
    }
  }
}
