import { limitError } from '@im/service-kit'
import pLimit, { type LimitFunction } from 'p-limit'

/** An upload that has waited so long (ms) is refused: who waits for the answer would not get it. */
const longestWait = 10_000

/** Uploads of one user go one after the other: at the same moment they would conflict, and each conflict does all the work again. */
export class UploadTurns {
  readonly #turns = new Map<number, { inTurn: LimitFunction; uploads: number }>()

  /** Runs `upload` when those of the user before it are done. Throws RateLimited. */
  async take<T>(userId: number, upload: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(userId) ?? { inTurn: pLimit(1), uploads: 0 }
    this.#turns.set(userId, turns)
    turns.uploads++
    const refuseAt = performance.now() + longestWait
    try {
      return await turns.inTurn(() => {
        if (performance.now() > refuseAt) throw limitError('RateLimited', longestWait / 1000)
        return upload()
      })
    } finally {
      if (!--turns.uploads) this.#turns.delete(userId)
    }
  }
}
