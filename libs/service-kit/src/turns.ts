import { ContractError } from '@im/contracts'
import pLimit, { type LimitFunction } from 'p-limit'
import { isCallerGone } from './current-call.ts'

/**
 * Lets changes of one thing (a room, the labels of a user) take turns in this process. They would conflict in the database and
 * repeat each other's work, until those who called have gone. Changes of other replicas still conflict there.
 */
export class Turns<K> {
  readonly #turns = new Map<K, LimitFunction>()

  /** Runs `work` when the work before it is done, unless its caller is gone by then. */
  async take<T>(key: K, work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.get(key) ?? pLimit(1)
    this.#turns.set(key, turn)
    try {
      return await turn(() => {
        if (isCallerGone()) throw new ContractError('ServiceUnavailable', { detail: 'the caller is gone' })
        return work()
      })
    } finally {
      if (turn.activeCount + turn.pendingCount === 0) this.#turns.delete(key)
    }
  }
}
