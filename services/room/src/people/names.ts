import { internalUsers } from '@im/contracts/user'
import type { CopiedRows, ServiceClient } from '@im/service-kit'
import type { Person } from './follow-users.ts'

const askedAtOnce = 500

/** Nicknames of users: from the own copy, else from the user service, so that nobody is unknown because an event is late. */
export class Names {
  readonly #people: Pick<CopiedRows<Person>, 'find'>
  readonly #user: Pick<ServiceClient, 'call'>

  constructor(people: Pick<CopiedRows<Person>, 'find'>, user: Pick<ServiceClient, 'call'>) {
    this.#people = people
    this.#user = user
  }

  /** Of those who exist. */
  async of(userIds: readonly number[]): Promise<Map<number, string>> {
    if (!userIds.length) return new Map()
    const known = await this.#people.find(userIds)
    const names = new Map([...known].map(([userId, { nickname }]) => [userId, nickname]))
    const missing = userIds.filter((userId) => !names.has(userId))
    for (let from = 0; from < missing.length; from += askedAtOnce) {
      const asked = missing.slice(from, from + askedAtOnce)
      const { contacts } = await this.#user.call(internalUsers.getContacts, { userIds: asked })
      for (const { userId, exists, nickname } of contacts) if (exists) names.set(userId, nickname)
    }
    return names
  }

  async ofOne(userId: number): Promise<string | undefined> {
    return (await this.of([userId])).get(userId)
  }
}
