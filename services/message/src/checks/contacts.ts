import { ContractError, type ResultOf } from '@im/contracts'
import { internalUsers } from '@im/contracts/user'
import type { ServiceClient } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

export type Contact = ResultOf<(typeof internalUsers)['getContact']>

/** What the user service says about a user, asked at most every few seconds. */
export interface Contacts {
  /** Throws ServiceUnavailable when the user service is away and the last answer is older than ten minutes. */
  of(userId: number): Promise<Contact>
  forget(userId: number): void
}

const freshFor = 5_000
const usableFor = 600_000

export function createContacts(user: Pick<ServiceClient, 'call'>, now: () => number): Contacts {
  const known = new LRUCache<number, { contact: Contact; askedAt: number }>({ max: 50_000 })
  const asking = new Map<number, Promise<Contact>>()

  async function ask(userId: number): Promise<Contact> {
    const askedAt = now()
    try {
      const contact = await user.call(internalUsers.getContact, { userId })
      known.set(userId, { contact, askedAt })
      return contact
    } catch (error) {
      const last = known.get(userId)
      if (
        last &&
        askedAt - last.askedAt < usableFor &&
        error instanceof ContractError &&
        error.errorName === 'ServiceUnavailable'
      )
        return last.contact
      throw error
    }
  }

  return {
    of(userId) {
      const last = known.get(userId)
      if (last && now() - last.askedAt < freshFor) return Promise.resolve(last.contact)
      let answer = asking.get(userId)
      if (!answer) {
        answer = ask(userId).finally(() => asking.delete(userId))
        asking.set(userId, answer)
      }
      return answer
    },
    forget(userId) {
      known.delete(userId)
    },
  }
}
