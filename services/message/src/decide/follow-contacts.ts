import { settingsChanged, userLocked, userUpdated } from '@im/contracts/user'
import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** Forgets what was known of users when an event tells of a change: in each replica, as soon as it is published. */
export function followContacts({ bus, contacts }: Pick<Deps, 'bus' | 'contacts'>): Closable {
  const parts = [
    bus.hear(settingsChanged, ({ userId }) => contacts.forget(userId)),
    bus.hear(userUpdated, ({ userId }) => contacts.forget(userId)),
    bus.hear(userLocked, ({ userId }) => contacts.forget(userId)),
    bus.onConnection((isConnected) => {
      contacts.hearsEvents = isConnected
      // What was published meanwhile was not heard.
      if (isConnected) contacts.forgetAll()
    }),
  ]
  return { close: async () => void (await Promise.all(parts.map((part) => part.close()))) }
}
