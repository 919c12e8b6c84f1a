import { setTimeout as delay } from 'node:timers/promises'
import { ContractError, type ResultOf } from '@im/contracts'
import { internalUsers } from '@im/contracts/user'
import type { ServiceClient } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

export type Contact = ResultOf<(typeof internalUsers)['getContacts']>['contacts'][number]

/** How long (ms) an answer counts without a question, while events tell of changes and while they may not arrive. */
const freshFor = 60_000
const freshWithoutEvents = 1000
/** A refusal needs an answer that is not older than this. */
const freshForRefusal = 1000
/** How old an answer may be when the user service does not answer (spec xmpp.md §8). */
const usableFor = 600_000

const usersAtOnce = 500
const questionsAtOnce = 4
/** Questions of the same moment go together. */
const gatherFor = 2
/** After so many failures in a row nobody is asked for a while: messages would only wait for the same failure. */
const failuresInRow = 3
const restAfterFailures = 1000

interface Known {
  contact: Contact
  askedAt: number
  /** Something changed since: good only when nobody answers. */
  isOld: boolean
}

/** What the user service says about users: asked for many at once, kept until an event tells of a change. */
export class Contacts {
  readonly #user: Pick<ServiceClient, 'call'>
  readonly #now: () => number
  readonly #known = new LRUCache<number, Known>({ max: 200_000 })
  readonly #asking = new Map<number, Promise<Contact>>()
  /** When an event told of a change: an answer to an older question is old. */
  readonly #changedAt = new LRUCache<number, number>({ max: 50_000, ttl: usableFor })
  #allChangedAt = 0
  /** Users of the next question. */
  #next: { users: number[]; answer: Promise<Map<number, Contact>> } | undefined
  #running = 0
  readonly #turns: (() => void)[] = []
  #failures = 0
  #restUntil = 0
  /** False while events of changes may be missed. */
  hearsEvents = true

  constructor(user: Pick<ServiceClient, 'call'>, now: () => number) {
    this.#user = user
    this.#now = now
  }

  /** What is known without a question; with `forRefusal`, only when it was asked just now. */
  peek(userId: number, { forRefusal = false } = {}): Contact | undefined {
    const known = this.#known.get(userId)
    if (!known || known.isOld) return undefined
    const age = this.#now() - known.askedAt
    const limit = forRefusal ? freshForRefusal : this.hearsEvents ? freshFor : freshWithoutEvents
    if (age < limit) return known.contact
    // Used once more, and asked about beside it.
    if (!forRefusal && this.hearsEvents && age < usableFor) {
      this.ask(userId).catch(() => {})
      return known.contact
    }
    return undefined
  }

  /**
   * Asks the user service. When it does not answer, an answer of the last ten minutes counts; without one it throws
   * ServiceUnavailable.
   */
  ask(userId: number): Promise<Contact> {
    const running = this.#asking.get(userId)
    if (running) return running
    const answer = this.#askFor(userId).finally(() => {
      if (this.#asking.get(userId) === answer) this.#asking.delete(userId)
    })
    this.#asking.set(userId, answer)
    return answer
  }

  async of(userId: number): Promise<Contact> {
    return this.peek(userId) ?? (await this.ask(userId))
  }

  /** Something about the user changed: the next answer must be a new one. */
  forget(userId: number): void {
    this.#changedAt.set(userId, this.#now())
    const known = this.#known.get(userId)
    if (known) known.isOld = true
    this.#asking.delete(userId)
  }

  /** Events may have been missed: all has to be asked again. */
  forgetAll(): void {
    this.#allChangedAt = this.#now()
    for (const known of this.#known.values()) known.isOld = true
    this.#asking.clear()
  }

  async #askFor(userId: number): Promise<Contact> {
    const askedAt = this.#now()
    try {
      if (askedAt < this.#restUntil) throw new ContractError('ServiceUnavailable', { detail: 'user does not answer' })
      const contact = (await this.#gather(userId)).get(userId)
      if (!contact) throw new ContractError('ServiceUnavailable', { detail: 'user gave no answer' })
      const known = this.#known.get(userId)
      const isOld = askedAt <= Math.max(this.#allChangedAt, this.#changedAt.get(userId) ?? 0)
      if (!known || known.askedAt <= askedAt) this.#known.set(userId, { contact, askedAt, isOld })
      return contact
    } catch (error) {
      const known = this.#known.get(userId)
      if (known && askedAt - known.askedAt < usableFor) return known.contact
      throw new ContractError('ServiceUnavailable', { cause: error })
    }
  }

  async #gather(userId: number): Promise<Map<number, Contact>> {
    if (!this.#next || this.#next.users.length >= usersAtOnce) {
      const users: number[] = []
      this.#next = { users, answer: this.#question(users) }
    }
    this.#next.users.push(userId)
    return await this.#next.answer
  }

  async #question(users: number[]): Promise<Map<number, Contact>> {
    await delay(gatherFor)
    if (this.#running >= questionsAtOnce) await new Promise<void>((resolve) => this.#turns.push(resolve))
    this.#running++
    if (this.#next?.users === users) this.#next = undefined
    try {
      const { contacts } = await this.#user.call(internalUsers.getContacts, { userIds: users })
      this.#failures = 0
      return new Map(contacts.map((contact) => [contact.userId, contact]))
    } catch (error) {
      if (++this.#failures >= failuresInRow) this.#restUntil = this.#now() + restAfterFailures
      throw error
    } finally {
      this.#running--
      this.#turns.shift()?.()
    }
  }
}
