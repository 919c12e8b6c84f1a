import type { Deps } from '../deps.ts'
import { BadNotificationError, type Payment } from '../payments/payment-provider.ts'

/**
 * Credits a payment that has arrived, however often and however late its provider tells of it. Throws BadNotificationError when
 * it does not fit the order. Returns the balance after it (cents), or undefined when it was credited before.
 */
export async function creditRecharge(
  { outbox, recharges, ledger, now }: Pick<Deps, 'outbox' | 'recharges' | 'ledger' | 'now'>,
  { orderId, cents, tradeId }: Payment,
  provider: string,
): Promise<number | undefined> {
  return await outbox.commit(async (change) => {
    const order = await recharges.byId(orderId, change)
    if (!order || order.provider !== provider) throw new BadNotificationError(`no order ${orderId} of ${provider}`)
    if (order.cents !== cents)
      throw new BadNotificationError(`${orderId}: paid ${cents} cents instead of ${order.cents}`)
    if (order.status === 'paid') return undefined
    recharges.setPaid(orderId, tradeId, now(), change)
    const { userId } = order
    return await ledger.credit({ userId, key: `recharge:${orderId}`, kind: 'recharge', cents, at: now() }, change)
  })
}
