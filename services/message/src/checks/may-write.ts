import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { Contact } from './contacts.ts'
import type { FriendRow } from './relations.ts'

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

const publicAccount = 2

const refused = (text: string): Refusal => ({ condition: 'not-allowed', text })
const blocked = refused('the receiver has blocked you')
const noGreetings = refused('the receiver takes no messages of strangers')
const notTrue = refused('this is not how you stand to the receiver')

const isTalk = (type: number) => type >= 1 && type <= 136
const stoppedByBlock = (type: number) => isTalk(type) || [500, 501, 502, 503, 508, 510].includes(type)

/** What must be true for a type 5xx to be told (spec xmpp.md §6.2): otherwise anybody could forge a friendship. */
const conditions: Record<number, (own: FriendRow | undefined, other: FriendRow | undefined) => boolean> = {
  500: (own) => (own?.status ?? 0) >= 1,
  501: (own, other) => own?.status === 2 && other?.status === 2,
  502: (own, other) => own !== undefined || other !== undefined,
  503: (own) => (own?.status ?? 0) >= 1,
  507: (own) => own?.hasBlocked === true,
  508: (own, other) => own?.status === 2 && other?.status === 2,
  510: (own, other) => own?.status === 2 && other?.status === 2,
}

/** What the relation of two users forbids (spec xmpp.md §6.2 and §8): blacklists, allowGreet, conditions of the 5xx types. */
export async function refusalByRelation(
  { contacts, relations }: Pick<Deps, 'contacts' | 'relations'>,
  { from, to, type, receiver }: Attempt,
): Promise<Refusal | undefined> {
  if (from < firstUserId) return undefined
  const condition = conditions[type]
  if (!condition && !isTalk(type)) return undefined
  const [own, other] = await Promise.all([relations.rowOf(from, to), relations.rowOf(to, from)])
  if (other?.hasBlocked && stoppedByBlock(type)) return blocked
  if (condition) return condition(own, other) ? undefined : notTrue
  if (receiver.allowGreet || own || other || to < firstUserId || receiver.userType === publicAccount) return undefined
  const [sender, areColleagues] = await Promise.all([contacts.of(from), relations.areColleagues(from, to)])
  return areColleagues || sender.userType === publicAccount ? undefined : noGreetings
}
