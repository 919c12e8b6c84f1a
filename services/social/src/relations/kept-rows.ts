import { blacklistChanged, friendChanged, friendRowChanged, userErased } from '@im/contracts/social'
import { type Bus, type Closable, within } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { Relation } from './pair.ts'
import type { RelationsRepository } from './relations-repository.ts'

/** Rows of all lists together; one takes 400 bytes. */
const mostRows = 100_000
/** Milliseconds. */
const keptFor = 60_000
/** How long (ms) NATS may take to say that it has nothing more to tell; a list is read again in as much time. */
const patience = 100

type Rows = readonly Relation[]

/**
 * Rows of the users whose lists were read a short while ago: a list of a thousand takes longer to read than to show. A change of a relation
 * is told to all replicas before it is answered, and then nobody is shown what was read before.
 */
export class KeptRows {
  readonly #relations: Pick<RelationsRepository, 'unblockedBy'>
  readonly #lists = new LRUCache<number, Rows | Promise<Rows>>({ maxSize: mostRows, ttl: keptFor })
  /** Where changes are heard. Without a connection nothing is kept. */
  #bus: Bus | undefined

  constructor(relations: Pick<RelationsRepository, 'unblockedBy'>) {
    this.#relations = relations
  }

  /**
   * Rows of followed users and friends who are not blocked, in the order of their ids. They are shared: not to be changed. Whatever was
   * answered before this call, by any replica, is in them.
   */
  async unblockedBy(userId: number): Promise<Rows> {
    const isUpToDate = this.#lists.has(userId) && (await this.#hasHeardAll())
    const kept = isUpToDate ? this.#lists.get(userId) : undefined
    return kept ? await kept : await this.#read(userId)
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
        this.#bus = isConnected ? bus : undefined
        this.#lists.clear()
      }),
    ]
    this.#bus = bus
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  async #read(userId: number): Promise<Rows> {
    const reading = this.#relations.unblockedBy(userId, [1, 2])
    if (!this.#bus) return await reading
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

  /**
   * NATS keeps the order: whatever a server was told to pass on before this question arrives before the answer. What another server of a
   * cluster was told comes about as soon.
   */
  async #hasHeardAll(): Promise<boolean> {
    try {
      if (this.#bus) await within(patience, 'NATS', this.#bus.ping())
      return this.#bus !== undefined
    } catch {
      return false
    }
  }
}
