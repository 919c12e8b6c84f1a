import { sessionRevoked, userDeleted } from '@im/contracts/user'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from './deps.ts'

/** What this service does with the events of others. */
export function eventHandlers({ tokens, badges }: Deps): EventHandler[] {
  return [
    on(sessionRevoked, async ({ userId, devices, reason, at }) => {
      // Who refreshes a token stays logged in.
      if (reason !== 'refresh') await tokens.removeOfDevices(userId, devices, at)
    }),
    on(userDeleted, async ({ userId }) => {
      await Promise.all([tokens.removeUser(userId), badges.removeUser(userId)])
    }),
  ]
}
