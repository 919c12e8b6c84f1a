import type { Deps } from '../deps.ts'
import { BadNotificationError, type Payment } from '../payments/payment-provider.ts'
import type { Movement } from './ledger.ts'
import type { RechargeDocument } from './recharges-repository.ts'

/**
 * Credits a payment that has arrived, however often and however late its provider tells of it. Throws BadNotificationError when
 * it does not fit the order.
 */
export async function creditRecharge(
  { outbox, recharges, ledger, now }: Pick<Deps, 'outbox' | 'recharges' | 'ledger' | 'now'>,
  { orderId, cents, tradeId }: Payment,
  provider: string,
): Promise<void> {
  await outbox.commit(async (change) => {
    const order = await recharges.byId(orderId, change)
    if (!order || order.provider !== provider) throw new BadNotificationError(`no order ${orderId} of ${provider}`)
    if (order.cents !== cents)
      throw new BadNotificationError(`${orderId}: paid ${cents} cents instead of ${order.cents}`)
    if (order.status === 'paid') return
    recharges.setPaid(orderId, tradeId, now(), change)
    const wallet = await ledger.of(order.userId, change)
    ledger.credit(wallet, rechargeOf(order, now()), change)
  })
}

/** What an order moves when it is paid. */
export const rechargeOf = ({ _id, cents }: RechargeDocument, at: number): Movement => ({
  ...{ key: `recharge:${_id}`, kind: 'recharge', cents, at },
})
