import { firstUserId, userDeleted, userRegistered } from '@im/contracts/user'
import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { PeopleRepository } from '../people/people-repository.ts'

const publicAccount = 2
/** How often (ms) all are read again, should an event not have been heard. */
const readEvery = 60_000

/** The public accounts, but for the system's own: few, so all are in memory. Every message of the fleet is compared with them. */
export class KnownAccounts {
  readonly #people: Pick<PeopleRepository, 'publicAccountIds'>
  #read: Promise<Set<number>> | undefined

  constructor(people: Pick<PeopleRepository, 'publicAccountIds'>) {
    this.#people = people
  }

  /** Those of the users who are public accounts. */
  async among(userIds: Iterable<number>): Promise<Set<number>> {
    const known = await this.#all()
    return new Set([...userIds].filter((userId) => known.has(userId)))
  }

  /** Hears of accounts that are made and deleted, in each replica. */
  follow({ bus }: Pick<Deps, 'bus'>): Closable {
    const parts = [
      bus.hear(userRegistered, ({ userId, userType }) => {
        if (userType === publicAccount) this.#change((known) => known.add(userId))
      }),
      bus.hear(userDeleted, ({ userId }) => this.#change((known) => known.delete(userId))),
    ]
    const timer = setInterval(() => {
      this.#read = undefined
    }, readEvery)
    return {
      async close() {
        clearInterval(timer)
        await Promise.all(parts.map((part) => part.close()))
      },
    }
  }

  /** What can't be read now is read when it is asked for. */
  #change(change: (known: Set<number>) => unknown): void {
    this.#all().then(change, () => {})
  }

  #all(): Promise<Set<number>> {
    this.#read ??= this.#people.publicAccountIds(firstUserId).then((ids) => new Set(ids))
    this.#read.catch(() => {
      this.#read = undefined
    })
    return this.#read
  }
}
