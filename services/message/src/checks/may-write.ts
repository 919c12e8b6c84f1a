import type { Contact } from './contacts.ts'

export interface Refusal {
  condition: 'not-allowed' | 'service-unavailable'
  text: string
}

export interface Attempt {
  from: number
  to: number
  /** Type code of the body. */
  type: number
  /** The receiver. */
  receiver: Contact
}

/**
 * The one place for what the relation of two users forbids (spec xmpp.md §6.2 and §8): blacklists, allowGreet, conditions of
 * the 5xx types. The social service owns relations; as long as there is none, nothing is known and nothing is refused.
 */
export async function refusalByRelation(_attempt: Attempt): Promise<Refusal | undefined> {
  return undefined
}
