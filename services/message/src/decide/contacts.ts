import type { ResultOf } from '@im/contracts'
import { internalUsers } from '@im/contracts/user'
import type { ServiceClient } from '@im/service-kit'
import { type FactsClock, KnownFacts } from './known-facts.ts'

export type Contact = ResultOf<(typeof internalUsers)['getContacts']>['contacts'][number]

/** What the user service says about users. */
export class Contacts extends KnownFacts<number, Contact> {
  constructor(user: Pick<ServiceClient, 'call'>, clock: FactsClock) {
    super({
      async ask(userIds) {
        const { contacts } = await user.call(internalUsers.getContacts, { userIds })
        return new Map(contacts.map((contact) => [contact.userId, contact]))
      },
      ...clock,
      max: 200_000,
    })
  }
}
