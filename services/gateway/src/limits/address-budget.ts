/**
 * Counts something in use (connections, bytes of memory) by the address that uses it. All addresses together are bounded, and an
 * address has at most as much as is left free. So however many addresses hold all they can, the next one finds as much as each
 * of them has: few can't take everything.
 */
export class AddressBudget {
  readonly #most: number
  readonly #mostOfAddress: number
  readonly #ofAddress = new Map<string, number>()
  #all = 0

  /** `mostOfAddress` bounds an address while much is free. */
  constructor(options: { most: number; mostOfAddress: number }) {
    this.#most = options.most
    this.#mostOfAddress = options.mostOfAddress
  }

  /**
   * Counts `amount` more and returns undefined, or returns which bound is reached and counts nothing. Without an address, such as
   * for a proxy that brings many clients, only the bound of all counts.
   */
  take(address: string | undefined, amount = 1): 'all' | 'address' | undefined {
    const free = this.#most - this.#all
    if (amount > free) return 'all'
    if (address !== undefined) {
      const ofAddress = (this.#ofAddress.get(address) ?? 0) + amount
      if (ofAddress > Math.min(this.#mostOfAddress, free)) return 'address'
      this.#ofAddress.set(address, ofAddress)
    }
    this.#all += amount
    return undefined
  }

  release(address: string | undefined, amount = 1): void {
    this.#all -= amount
    if (address === undefined) return
    const left = (this.#ofAddress.get(address) ?? 0) - amount
    if (left > 0) this.#ofAddress.set(address, left)
    else this.#ofAddress.delete(address)
  }
}
