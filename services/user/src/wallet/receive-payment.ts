import { ContractError, type RawAnswer } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { BadNotificationError } from '../payments/payment-provider.ts'
import { creditRecharge } from './credit-recharge.ts'
import { settleWithdrawal } from './settle-withdrawal.ts'

/**
 * Takes what a provider tells (`alipay` or `wechat`) and answers as that provider expects. What is forged, or does not fit the
 * order, is refused; the provider sends a genuine one again.
 */
export async function receivePayment(
  deps: Deps,
  name: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string | undefined>>,
): Promise<RawAnswer> {
  const provider = name === 'alipay' || name === 'wechat' ? deps.payments[name] : undefined
  if (!provider) throw new ContractError('FeatureDisabled')
  try {
    const told = provider.read(body, headers)
    if (told.kind === 'payment') await creditRecharge(deps, told.payment, provider.name)
    if (told.kind === 'transfer') await settleWithdrawal(deps, told.billNo, told.transfer)
    return provider.accepted
  } catch (error) {
    if (!(error instanceof BadNotificationError)) throw error
    deps.log.warn({ err: error }, `a notification of ${name} was refused`)
    return provider.rejected
  }
}
