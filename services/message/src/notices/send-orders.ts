import { noticeUserId } from '@im/contracts/user'
import { type Element, xml } from '@xmpp/component'
import type { Deps } from '../deps.ts'
import { imNamespace } from '../tap/im-namespace.ts'
import type { Order, OwnNotice } from './orders-repository.ts'
import { ownNotice } from './own-notice.ts'

const atOnce = 200
const pollEvery = 500
/** An order that was refused for so long (ms) is given up: nobody waits for a day-old notice. */
const giveUpAfter = 86_400_000

type Request = (order: Element) => Promise<Element>

/** Sends due orders over one connection until `signal` aborts; each is kept until the XMPP server answered that it took it. */
export async function sendOrders(deps: Deps, request: Request, signal: AbortSignal): Promise<void> {
  const { orders, log, now } = deps
  while (!signal.aborted) {
    let sent = 0
    try {
      const due = await orders.due(now(), atOnce)
      const byUser = Map.groupBy(due, ({ userId }) => userId)
      const outcomes = await Promise.all(
        [...byUser.values()].map((ofUser) => sendInTurn(deps, request, ofUser, signal)),
      )
      sent = outcomes.reduce((sum, count) => sum + count, 0)
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, 'orders could not be sent; trying again')
    }
    if (!sent) await deps.ordersWaiting.wait(pollEvery, signal)
  }
}

/** Orders about one user go one after the other; the first that fails holds the later ones back. */
async function sendInTurn(deps: Deps, request: Request, list: readonly Order[], signal: AbortSignal): Promise<number> {
  const { orders, log, now } = deps
  let sent = 0
  for (const order of list) {
    if (signal.aborted) break
    try {
      const stanza = await stanzaOf(deps, order)
      if (stanza) await request(stanza)
      await orders.done([order._id])
      sent++
    } catch (error) {
      if (signal.aborted) break
      if (now() - order.createdAt > giveUpAfter) {
        log.error({ err: error, order }, 'an order was given up')
        await orders.done([order._id])
        continue
      }
      log.warn(
        { err: error, order: order._id, attempts: order.attempts },
        'the XMPP server did not take an order; trying again',
      )
      await orders.postpone(order._id, now() + Math.min(500 * 2 ** Math.min(order.attempts, 8), 60_000))
      break
    }
  }
  return sent
}

/** The order as an element; undefined when there is nothing to send after all. */
async function stanzaOf(deps: Deps, order: Order): Promise<Element | undefined> {
  const user = String(order.userId)
  switch (order.order.kind) {
    case 'close-streams':
      return xml('close-streams', { xmlns: imNamespace, user, condition: 'not-authorized', text: order.order.text })
    case 'forget-user':
      return xml('forget-user', { xmlns: imNamespace, user })
    case 'own-notice':
      return await deliverOrder(deps, order, order.order)
  }
}

async function deliverOrder(deps: Deps, order: Order, notice: OwnNotice): Promise<Element | undefined> {
  const { xmppDomain } = deps.config
  const contact = await deps.contacts.of(order.userId)
  if (!contact.exists || (notice.onlyMultipleDevices && !contact.multipleDevices)) return undefined
  const { id, body } = ownNotice(order, notice, contact.nickname)
  return xml(
    'deliver',
    { xmlns: imNamespace },
    xml(
      'message',
      {
        xmlns: 'jabber:client',
        id,
        type: 'chat',
        from: `${noticeUserId}@${xmppDomain}`,
        to: `${order.userId}@${xmppDomain}`,
      },
      xml('body', {}, body),
    ),
  )
}
