import { firstUserId } from '@im/contracts/user'
import type { Refusal } from '../stanzas/refusal.ts'
import type { Collegiality } from './colleagues.ts'
import type { Contact } from './contacts.ts'
import type { FriendRow, Standing } from './relations.ts'

/** A message of one user to another, as far as what they are to each other matters. */
export interface Attempt {
  from: number
  to: number
  /** Type code of the body. */
  type: number
}

/** What is known about both. */
export interface Facts {
  receiver: Contact | undefined
  sender: Contact | undefined
  standing: Standing | undefined
  colleagues: Collegiality | undefined
}

export type Fact = keyof Facts

const publicAccount = 2

const refused = (text: string): Refusal => ({ condition: 'not-allowed', text })
const gone: Refusal = { condition: 'service-unavailable', text: 'no such user' }
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

/**
 * What two users are to each other forbids (spec xmpp.md §6.2 and §8): receivers who are gone, blacklists, allowGreet, the
 * conditions of the 5xx types. Names the fact it lacks when it can't tell without.
 */
export function refusalBetween(
  { from, to, type }: Attempt,
  { receiver, sender, standing, colleagues }: Facts,
): { refusal?: Refusal } | { lacks: Fact } {
  if (!receiver) return { lacks: 'receiver' }
  if (!receiver.exists || receiver.status !== 1) return { refusal: gone }
  const condition = conditions[type]
  if (from < firstUserId || (!condition && !isTalk(type))) return {}
  if (!standing) return { lacks: 'standing' }
  const { own, other } = standing
  if (other?.hasBlocked && stoppedByBlock(type)) return { refusal: blocked }
  if (condition) return condition(own, other) ? {} : { refusal: notTrue }
  const isKnown = [own, other].some((row) => (row?.status ?? 0) >= 1)
  if (receiver.allowGreet || isKnown) return {}
  if (to < firstUserId || receiver.userType === publicAccount) return {}
  if (!colleagues) return { lacks: 'colleagues' }
  if (colleagues.areColleagues) return {}
  if (!sender) return { lacks: 'sender' }
  return sender.userType === publicAccount ? {} : { refusal: noGreetings }
}
