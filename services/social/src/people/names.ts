import { userDeleted, userUpdated } from '@im/contracts/user'
import { type Closable, type Logger, type ServiceClient, upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { Deps } from '../deps.ts'
import { askFriendRules } from './friend-rules.ts'
import type { KnownName, PeopleRepository } from './people-repository.ts'

const mostKept = 200_000
const keptFor = 600_000
/** How long (ms) an event may be ahead of the own copy. */
const copyFollowsWithin = 60_000
/** Users of one question. */
const mostAsked = 1000
const gone: KnownName = { nickname: '', userType: 0, gone: true }

/** How users are called: kept in memory, because lists of friends name a thousand of them. */
export class Names {
  readonly #people: Pick<PeopleRepository, 'find'>
  readonly #user: Pick<ServiceClient, 'call'>
  readonly #log: Logger
  readonly #kept = new LRUCache<number, KnownName>({ ...upTo(mostKept), ttl: keptFor })
  /** What events have told in the last minute: the copy may not say so yet. */
  readonly #told = new LRUCache<number, Partial<KnownName>>({ ...upTo(mostKept), ttl: copyFollowsWithin })

  /** Since when (`performance.now()`) every event has been heard; undefined without a connection. */
  #hearingSince: number | undefined = Number.NEGATIVE_INFINITY

  constructor({ people, user, log }: Pick<Deps, 'people' | 'user' | 'log'>) {
    this.#people = people
    this.#user = user
    this.#log = log
  }

  /** By userId. A list without some names is better than none: those that nobody can tell now are absent. */
  async of(userIds: readonly number[]): Promise<Map<number, KnownName>> {
    const names = new Map<number, KnownName>()
    const unknown: number[] = []
    for (const userId of userIds) {
      const name = this.#mayKeep() ? this.#kept.get(userId) : undefined
      if (name) names.set(userId, name)
      else unknown.push(userId)
    }
    if (!unknown.length) return names
    const found = await this.#people.find(unknown)
    for (const [userId, name] of found) this.#keep(names, userId, name)
    // Of users who registered a moment ago events may still be on their way.
    const missing = unknown.filter((userId) => !found.has(userId)).slice(0, mostAsked)
    if (!missing.length) return names
    try {
      const asked = await askFriendRules(this.#user, missing)
      for (const [userId, { nickname, userType }] of asked) this.#keep(names, userId, { nickname, userType })
    } catch (error) {
      this.#log.warn({ err: error, users: missing.length }, 'names of users are not known')
    }
    return names
  }

  async ofOne(userId: number): Promise<KnownName | undefined> {
    return (await this.of([userId])).get(userId)
  }

  /** Hears of changes, in each replica, as soon as they are published. */
  follow({ bus }: Pick<Deps, 'bus'>): Closable {
    const parts = [
      bus.hear(userUpdated, ({ userId, nickname }) => this.#hear(userId, { nickname })),
      bus.hear(userDeleted, ({ userId }) => this.#hear(userId, gone)),
      bus.onConnection((isConnected) => {
        // What is published meanwhile is not heard: names are read from the copy until that has followed.
        this.#hearingSince = isConnected ? performance.now() : undefined
        this.#kept.clear()
        this.#told.clear()
      }),
    ]
    return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
  }

  #mayKeep = () => this.#hearingSince !== undefined && performance.now() - this.#hearingSince >= copyFollowsWithin

  #hear(userId: number, told: Partial<KnownName>): void {
    this.#told.set(userId, told)
    const kept = this.#kept.get(userId)
    if (kept) this.#kept.set(userId, { ...kept, ...told })
  }

  #keep(names: Map<number, KnownName>, userId: number, name: KnownName): void {
    const newest = { ...name, ...this.#told.get(userId) }
    if (this.#mayKeep()) this.#kept.set(userId, newest)
    names.set(userId, newest)
  }
}
