/** How long (ms) at most what can wait gives way: under lasting chat it goes on slowly, but it goes on. */
const longestWait = 250

/**
 * What people write to each other is stored before what is sent to many users. That is stored in small parts, and each part
 * waits until this replica stores no chat: so a message of a chat waits behind one small part at most.
 */
export class ChatFirst {
  #storing = 0
  readonly #waiting = new Set<() => void>()

  /** Stores chat. */
  async store<T>(work: () => Promise<T>): Promise<T> {
    this.#storing++
    try {
      return await work()
    } finally {
      this.#storing--
      if (!this.#storing) for (const goOn of [...this.#waiting]) goOn()
    }
  }

  /** Resolves when no chat is being stored, or after a while. */
  async giveWay(): Promise<void> {
    if (!this.#storing) return
    await new Promise<void>((resolve) => {
      const goOn = () => {
        clearTimeout(timer)
        this.#waiting.delete(goOn)
        resolve()
      }
      const timer = setTimeout(goOn, longestWait)
      this.#waiting.add(goOn)
    })
  }
}
