import pLimit, { type LimitFunction } from 'p-limit'

/**
 * Lets changes of one room take turns in this process. They would conflict in the database, which numbers the events of a room,
 * and repeat each other's work. Changes of other replicas still conflict there.
 */
export class RoomTurns {
  readonly #turns = new Map<string, LimitFunction>()

  async run<T>(roomId: string, work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.get(roomId) ?? pLimit(1)
    this.#turns.set(roomId, turn)
    try {
      return await turn(work)
    } finally {
      if (turn.activeCount + turn.pendingCount === 0) this.#turns.delete(roomId)
    }
  }
}
