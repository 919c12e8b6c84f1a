import { randomBytes } from 'node:crypto'
import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { rechargeOf } from './credit-recharge.ts'
import type { RechargeDocument } from './recharges-repository.ts'

/** An order is asked about for the first time after this time (ms): until then most payments were told by the provider. */
const firstCheckAfter = 60_000

export interface Recharged {
  /** Cents. */
  balance: number
  /** What the user has to pay; absent when the money is there. */
  order?: { orderId: string; payInfo: string }
}

/**
 * Makes an order of a payment provider (`payType` 1 Alipay, 2 WeChat). The money is credited when the provider says that it was
 * paid; in the sandbox at once.
 */
export async function recharge(deps: Deps, userId: number, cents: number, payType: number): Promise<Recharged> {
  const { payments, ledger, recharges, now, log } = deps
  if (payType !== 1 && payType !== 2) throw new ContractError('PayTypeInvalid')
  const provider = payType === 1 ? payments.alipay : payments.wechat
  if (!provider && !payments.isSandbox) throw new ContractError('FeatureDisabled')
  const orderId = randomBytes(16).toString('hex')
  const at = now()
  const dates = { createdAt: new Date(at), checkAt: new Date(at + firstCheckAfter), checks: 0 }
  const order = { _id: orderId, userId, cents, payType, ...dates, status: 'open' as const }
  if (payments.isSandbox || !provider) return { balance: await payAtOnce(deps, { ...order, provider: 'sandbox' }) }
  await recharges.add({ ...order, provider: provider.name })
  const preparing = provider.prepare({ orderId, cents }).catch((error) => {
    log.warn({ err: error, orderId }, `${provider.name} made no order`)
    throw new ContractError('ServiceUnavailable', { cause: error })
  })
  const [payInfo, { balance }] = await Promise.all([preparing, ledger.of(userId)])
  return { balance, order: { orderId, payInfo } }
}

/** Stores the order of the sandbox as one that was paid. Returns the balance after it. */
async function payAtOnce({ outbox, ledger, recharges, now }: Deps, order: RechargeDocument): Promise<number> {
  return await outbox.commit(async (change) => {
    const wallet = await ledger.of(order.userId, change)
    const paidAt = now()
    recharges.addPaid({ ...order, status: 'paid', tradeId: `sandbox-${order._id}`, paidAt: new Date(paidAt) }, change)
    return ledger.credit(wallet, rechargeOf(order, paidAt), change).balance
  })
}
