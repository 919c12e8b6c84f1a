import { passwordChanged, settingsChanged, userLocked, userUpdated } from '@im/contracts/user'
import { type EventHandler, on } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { askForOrders } from './notices/ask-for-orders.ts'

/** What other services' events make this one do. Everything asked of the XMPP server goes through the orders and is retried there. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { config, contacts } = deps
  return [
    on(settingsChanged, async ({ userId }, { id }) => {
      contacts.forget(userId)
      await askForOrders(deps, id, userId, [
        { kind: 'forget-user' },
        { kind: 'own-notice', type: 800, objectId: 'sync_private_settings', onlyMultipleDevices: true },
      ])
    }),
    on(userUpdated, async ({ userId }, { id }) => {
      contacts.forget(userId)
      await askForOrders(deps, id, userId, [
        { kind: 'forget-user' },
        { kind: 'own-notice', type: 801, onlyMultipleDevices: true },
      ])
    }),
    on(passwordChanged, async ({ userId, at }, { id }) => {
      await askForOrders(deps, id, userId, [
        { kind: 'own-notice', type: 800, objectId: 'sync_login_password', onlyMultipleDevices: false },
      ])
      // Kept with its time, so that a restart in between does not let the streams live.
      await askForOrders(
        deps,
        id,
        userId,
        [{ kind: 'close-streams', text: 'password changed' }],
        at + config.streamGraceMs,
      )
    }),
    on(userLocked, async ({ userId, locked }, { id }) => {
      contacts.forget(userId)
      await askForOrders(deps, id, userId, [
        { kind: 'forget-user' },
        ...(locked ? ([{ kind: 'close-streams', text: 'account locked' }] as const) : []),
      ])
    }),
  ]
}
