import { employeesJoined, employeesLeft } from '@im/contracts/org'
import { blacklistChanged, friendChanged, friendRowChanged, pairOf } from '@im/contracts/social'
import { settingsChanged, userDeleted, userLocked, userUpdated } from '@im/contracts/user'
import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/**
 * Forgets what was known of users and pairs of them when an event tells of a change: in each replica, as soon as it is published.
 * Changes of pairs are broadcast, too, before they are answered.
 */
export function followFacts({
  bus,
  contacts,
  socialRelations,
  colleagues,
}: Pick<Deps, 'bus' | 'contacts' | 'socialRelations' | 'colleagues'>): Closable {
  const { facts: pairs } = socialRelations
  const forgetPair = (changed: { userId: number; toUserId: number }) =>
    pairs.forget(pairOf(changed.userId, changed.toUserId))
  const parts = [
    bus.hear(settingsChanged, ({ userId }) => contacts.forget(userId)),
    bus.hear(userUpdated, ({ userId }) => contacts.forget(userId)),
    bus.hear(userLocked, ({ userId }) => contacts.forget(userId)),
    bus.hear(userDeleted, ({ userId }) => contacts.forget(userId)),
    ...[friendChanged, blacklistChanged, friendRowChanged].flatMap((event) => [
      bus.listen(event, forgetPair),
      bus.hear(event, forgetPair),
    ]),
    // They say who came or went, not whose colleagues these are.
    ...[employeesJoined, employeesLeft].map((event) => bus.hear(event, () => colleagues.facts.forgetAll())),
    bus.onConnection((isConnected) => {
      for (const known of [contacts, pairs, colleagues.facts]) {
        known.isConnected = isConnected
        // What was published meanwhile was not heard.
        if (isConnected) known.forgetAll()
      }
    }),
  ]
  return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
}
