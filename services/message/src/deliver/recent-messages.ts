import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/** A week (spec xmpp.md §3), as far as memory goes: what it forgets, the archive knows. */
const rememberFor = 7 * 86_400_000
const most = 200_000

/**
 * Messages that were taken, by sender, id and conversation, with the entry (`<log>:<seq>`) that brought each first. Apps send
 * again what was not confirmed: such a copy costs no question and no write. One whose first is still on its way is not known
 * here: that one may never arrive, when its server is taken over by another replica.
 */
export type RecentMessages = LRUCache<string, string>

export const createRecentMessages = (): RecentMessages =>
  new LRUCache<string, string>({ ...upTo(most), ttl: rememberFor, ttlResolution: 1000 })

/**
 * Whether the message of an entry was brought by an earlier one of the same log. One of another log says nothing of its place
 * among others of its moment: the archive is asked (`behindTies`).
 */
export function isPlainCopy(recentMessages: RecentMessages, key: string, tap: string): boolean {
  const first = recentMessages.get(key)
  return first !== undefined && first !== tap && logIn(first) === logIn(tap)
}

const logIn = (tap: string) => tap.slice(0, tap.lastIndexOf(':'))
