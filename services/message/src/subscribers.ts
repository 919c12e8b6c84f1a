import { passwordChanged, settingsChanged, userLocked, userUpdated } from '@im/contracts/user'
import type { Subscription } from '@im/service-kit'
import type { Deps } from './deps.ts'
import { askForOrders, ordersTopic } from './notices/ask-for-orders.ts'

const service = 'message'

/** What other services' events make this one do. Everything asked of the XMPP server goes through the orders and is retried there. */
export async function subscribe(deps: Deps): Promise<Subscription[]> {
  const { bus, config, contacts } = deps
  return await Promise.all([
    bus.subscribe(settingsChanged, {
      service,
      async handle({ userId }, { id }) {
        contacts.forget(userId)
        await askForOrders(deps, id, userId, [
          { kind: 'forget-user' },
          { kind: 'own-notice', type: 800, objectId: 'sync_private_settings', onlyMultipleDevices: true },
        ])
      },
    }),
    bus.subscribe(userUpdated, {
      service,
      async handle({ userId }, { id }) {
        contacts.forget(userId)
        await askForOrders(deps, id, userId, [
          { kind: 'forget-user' },
          { kind: 'own-notice', type: 801, onlyMultipleDevices: true },
        ])
      },
    }),
    bus.subscribe(passwordChanged, {
      service,
      async handle({ userId, at }, { id }) {
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
      },
    }),
    bus.subscribe(userLocked, {
      service,
      async handle({ userId, locked }, { id }) {
        contacts.forget(userId)
        await askForOrders(deps, id, userId, [
          { kind: 'forget-user' },
          ...(locked ? ([{ kind: 'close-streams', text: 'account locked' }] as const) : []),
        ])
      },
    }),
    bus.onWake(ordersTopic, () => deps.ordersWaiting.ring()),
  ])
}
