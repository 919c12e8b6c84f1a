import { ContractError } from '@im/contracts'
import { limitAddress, limitError } from '@im/service-kit'

/** Uploads of one user at once, in one process. */
const mostOfUser = 20
/** Bytes that uploads may bring before they have shown their token: one of them, those of an address, and all together. */
const unknown = { ofUpload: 8 * 1024 * 1024, ofAddress: 32 * 1024 * 1024, ofAll: 256 * 1024 * 1024 }

/** Bounds what is on disk before it counts for anybody. */
export class UploadsUnderWay {
  readonly #ofUser = new Map<number, number>()
  readonly #unknownOf = new Map<string, number>()
  #unknownBytes = 0

  /** An upload of the user begins; it ends when the result is called. Throws RateLimited when the user has too many. */
  enter(user: number): () => void {
    const count = this.#ofUser.get(user) ?? 0
    if (count >= mostOfUser) throw limitError('RateLimited', 1)
    this.#ofUser.set(user, count + 1)
    return () => {
      const left = (this.#ofUser.get(user) ?? 1) - 1
      if (left > 0) this.#ofUser.set(user, left)
      else this.#ofUser.delete(user)
    }
  }

  /**
   * What an upload of nobody known brings, from an address. Throws FileTooLarge when it is too much for one, RateLimited for the
   * address, ServiceUnavailable for all: no app may take it for the end of its session.
   */
  ofUnknown(ip: string) {
    const address = limitAddress(ip)
    let bytes = 0
    const add = (more: number) => {
      bytes += more
      this.#unknownBytes += more
      const ofAddress = (this.#unknownOf.get(address) ?? 0) + more
      if (ofAddress > 0) this.#unknownOf.set(address, ofAddress)
      else this.#unknownOf.delete(address)
    }
    return {
      take: (more: number): void => {
        if (bytes + more > unknown.ofUpload)
          throw new ContractError('FileTooLarge', { detail: 'access_token must come before long files' })
        if ((this.#unknownOf.get(address) ?? 0) + more > unknown.ofAddress) throw limitError('RateLimited', 5)
        if (this.#unknownBytes + more > unknown.ofAll) throw new ContractError('ServiceUnavailable', { retryAfter: 5 })
        add(more)
      },
      giveBack: (): void => add(-bytes),
    }
  }
}
