import { blacklistChanged, friendChanged, friendRowChanged, userErased } from '@im/contracts/social'
import type { Bus, Closable } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { Relation } from './pair.ts'
import type { RelationsRepository } from './relations-repository.ts'

/** Rows of all lists together; one takes 400 bytes. */
const mostRows = 100_000
/** Milliseconds: as long as the message service goes on deciding by what it was told, should a change not be heard. */
const keptFor = 60_000

/**
 * Rows of the users whose lists were read a short while ago: a list of a thousand takes longer to read than to show. A change of a relation
 * is told to all replicas before it is answered, and then nobody is shown what was read before.
 */
export class KeptRows {
  readonly #relations: Pick<RelationsRepository, 'unblockedBy'>
  readonly #lists = new LRUCache<number, readonly Relation[] | Promise<readonly Relation[]>>({
    maxSize: mostRows,
    ttl: keptFor,
  })
  /** Whether changes are heard. */
  #isTold = false

  constructor(relations: Pick<RelationsRepository, 'unblockedBy'>) {
    this.#relations = relations
  }

  /** Rows of followed users and friends who are not blocked, in the order of their ids. They are shared: not to be changed. */
  async unblockedBy(userId: number): Promise<readonly Relation[]> {
    const kept = this.#lists.get(userId)
    if (kept) return await kept
    const reading = this.#relations.unblockedBy(userId, [1, 2])
    if (!this.#isTold) return await reading
    // Kept before it is there, so that a change that is told meanwhile takes it away.
    this.#lists.set(userId, reading, { size: 1 })
    const isStillKept = () => this.#lists.peek(userId) === reading
    try {
      const rows = await reading
      if (isStillKept()) this.#lists.set(userId, rows, { size: rows.length + 1 })
      return rows
    } catch (error) {
      if (isStillKept()) this.#lists.delete(userId)
      throw error
    }
  }

  /** What these two are to each other has changed. */
  forget({ userId, toUserId }: { userId: number; toUserId: number }): void {
    this.#lists.delete(userId)
    this.#lists.delete(toUserId)
  }

  /** Hears of changes: of those that are about to be answered, and of all when they are published. */
  follow({ bus }: { bus: Bus }): Closable {
    const parts = [
      ...[friendChanged, blacklistChanged, friendRowChanged].flatMap((event) => [
        bus.listen(event, (changed) => this.forget(changed)),
        bus.hear(event, (changed) => this.forget(changed)),
      ]),
      bus.hear(userErased, ({ friends }) => {
        for (const userId of friends) this.#lists.delete(userId)
      }),
      bus.onConnection((isConnected) => {
        this.#isTold = isConnected
        this.#lists.clear()
      }),
    ]
    this.#isTold = true
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }
}
