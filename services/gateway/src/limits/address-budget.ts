/**
 * Counts something in use (connections, bytes of memory) by the address that uses it. It is bounded for all addresses together
 * and for each, so that no address takes the share of the others.
 */
export class AddressBudget {
  readonly #most: number
  readonly #mostOfAddress: number
  readonly #ofAddress = new Map<string, number>()
  #all = 0

  constructor(options: { most: number; mostOfAddress: number }) {
    this.#most = options.most
    this.#mostOfAddress = options.mostOfAddress
  }

  /** Counts `amount` more and returns undefined, or returns which bound is reached and counts nothing. */
  take(address: string, amount = 1): 'all' | 'address' | undefined {
    const ofAddress = (this.#ofAddress.get(address) ?? 0) + amount
    if (ofAddress > this.#mostOfAddress) return 'address'
    if (this.#all + amount > this.#most) return 'all'
    this.#ofAddress.set(address, ofAddress)
    this.#all += amount
    return undefined
  }

  release(address: string, amount = 1): void {
    const left = (this.#ofAddress.get(address) ?? 0) - amount
    if (left > 0) this.#ofAddress.set(address, left)
    else this.#ofAddress.delete(address)
    this.#all -= amount
  }
}
