import { blacklistChanged, friendChanged, friendRowChanged, userErased } from '@im/contracts/social'
import { type Bus, type Closable, within } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { Relation } from './pair.ts'
import { longestList, type RelationsRepository } from './relations-repository.ts'

/** Rows of all lists together; one takes 400 bytes. */
const mostRows = 100_000
/** Milliseconds. */
const keptFor = 60_000
/** How long (ms) NATS may take to say that it has nothing more to tell; a list is read again in as much time. */
const patience = 100

/** More changes of one list than these, and it is read anew. */
const mostChanged = 100

type Rows = readonly Relation[]

interface Kept {
  rows: Promise<Rows>
  /** Whose rows have changed since `rows` were asked for. */
  changed: Set<number>
}

/**
 * Rows of the users whose lists were read a short while ago: a list of a thousand takes longer to read than to show. A change of a relation
 * is told to all replicas before it is answered; after that its row is read again before the list is shown.
 */
export class KeptRows {
  readonly #relations: Pick<RelationsRepository, 'unblockedBy' | 'rowsAbout'>
  readonly #lists = new LRUCache<number, Kept>({ maxSize: mostRows, ttl: keptFor, noUpdateTTL: true })
  /** Where changes are heard. Without a connection nothing is kept. */
  #bus: Bus | undefined

  constructor(relations: Pick<RelationsRepository, 'unblockedBy' | 'rowsAbout'>) {
    this.#relations = relations
  }

  /**
   * Rows of followed users and friends who are not blocked, in the order of their ids. They are shared: not to be changed. Whatever was
   * answered before this call, by any replica, is in them.
   */
  async unblockedBy(userId: number): Promise<Rows> {
    if (!this.#lists.has(userId)) return await this.#read(userId)
    // What is known to have changed is read while NATS is asked for more.
    this.#renew(userId)
    const kept = (await this.#hasHeardAll()) ? this.#renew(userId) : undefined
    return await (kept?.rows ?? this.#read(userId))
  }

  /** Lets the rows be read again that have changed. Undefined when they are so many that the whole list is to be read. */
  #renew(userId: number): Kept | undefined {
    const kept = this.#lists.get(userId)
    if (!kept || kept.changed.size > mostChanged) return undefined
    if (kept.changed.size) {
      const changed = [...kept.changed]
      kept.changed.clear()
      this.#keep(userId, kept, this.#renewed(userId, kept.rows, changed))
    }
    return kept
  }

  /** What these two are to each other has changed. */
  changed({ userId, toUserId }: { userId: number; toUserId: number }): void {
    this.#lists.peek(userId)?.changed.add(toUserId)
    this.#lists.peek(toUserId)?.changed.add(userId)
  }

  /** Hears of changes: of those that are about to be answered, and of all when they are published. */
  follow({ bus }: { bus: Bus }): Closable {
    this.#bus = bus
    const parts = [
      ...[friendChanged, blacklistChanged, friendRowChanged].flatMap((event) => [
        bus.listen(event, (changed) => this.changed(changed)),
        bus.hear(event, (changed) => this.changed(changed)),
      ]),
      bus.hear(userErased, ({ userId, friends }) => {
        for (const toUserId of friends) this.changed({ userId, toUserId })
      }),
      bus.onConnection((isConnected) => {
        this.#bus = isConnected ? bus : undefined
        this.#lists.clear()
      }),
    ]
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  #read(userId: number): Promise<Rows> {
    const reading = this.#relations.unblockedBy(userId, [1, 2])
    this.#lists.delete(userId)
    // Kept before it is there, so that changes that are told meanwhile are known.
    if (this.#bus) this.#keep(userId, { rows: reading, changed: new Set() }, reading)
    return reading
  }

  async #renewed(userId: number, before: Promise<Rows>, changed: readonly number[]): Promise<Rows> {
    const [rows, renewed] = await Promise.all([before, this.#relations.rowsAbout(userId, changed)])
    // Rows behind the longest list may move up into it.
    if (rows.length >= longestList) return await this.#relations.unblockedBy(userId, [1, 2])
    const others = rows.filter(({ toUserId }) => !changed.includes(toUserId))
    const wanted = [...renewed.values()].filter(({ status, blacklist }) => status > 0 && !blacklist)
    return wanted.length ? [...others, ...wanted].sort((a, b) => a.toUserId - b.toUserId) : others
  }

  #keep(userId: number, kept: Kept, rows: Promise<Rows>): void {
    kept.rows = rows
    this.#lists.set(userId, kept, { size: 1 })
    const isStillKept = () => this.#lists.peek(userId) === kept && kept.rows === rows
    rows.then(
      ({ length }) => isStillKept() && this.#lists.set(userId, kept, { size: length + 1 }),
      () => isStillKept() && this.#lists.delete(userId),
    )
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
