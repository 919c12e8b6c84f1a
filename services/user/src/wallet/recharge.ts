import { randomBytes } from 'node:crypto'
import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { creditRecharge } from './credit-recharge.ts'

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
  const name = payments.isSandbox ? 'sandbox' : (provider?.name ?? '')
  const checkAt = new Date(at + firstCheckAfter)
  const order = { _id: orderId, userId, cents, provider: name, payType, createdAt: new Date(at), checkAt }
  await Promise.all([ledger.open(userId), recharges.add({ ...order, status: 'open', checks: 0 })])
  if (payments.isSandbox || !provider) {
    const balance = await creditRecharge(deps, { orderId, cents, tradeId: `sandbox-${orderId}` }, name)
    return balance === undefined ? ledger.of(userId) : { balance }
  }
  try {
    const payInfo = await provider.prepare({ orderId, cents })
    return { ...(await ledger.of(userId)), order: { orderId, payInfo } }
  } catch (error) {
    log.warn({ err: error, orderId }, `${name} made no order`)
    throw new ContractError('ServiceUnavailable', { cause: error })
  }
}
