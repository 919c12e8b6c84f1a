import { randomBytes } from 'node:crypto'
import { ContractError } from '@im/contracts'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { TransferState } from '../payments/payment-provider.ts'
import { unseal } from '../secrets/sealed-text.ts'
import type { Wallet } from './ledger.ts'
import { settleAtOnce } from './settle-withdrawal.ts'
import { isWithdrawalSecret, signedCall } from './withdrawal-secret.ts'
import type { WithdrawalDocument } from './withdrawals-repository.ts'
import type { Withdrawer } from './withdrawers-repository.ts'

/** Clocks of apps and server may differ by this much (seconds). */
const clockSkew = 300
/** A bill is asked about for the first time after this time (ms). */
const firstCheckAfter = 60_000

export interface Withdrawal {
  userId: number
  token: string
  /** Whole cents and seconds or milliseconds, as they were sent. */
  amount: string
  time: string
  secret: string
}

export interface Withdrawn {
  billNo: string
  paymentNo: string
  /** ms */
  at: number
  packageInfo?: string
}

/** What we keep of a withdrawal (cents): 0.6 %, rounded up, at least one cent. */
export const feeOf = (cents: number): number => Math.max(1, Math.ceil((cents * 6) / 1000))

/**
 * Sends money from the user's wallet to their WeChat account (spec 02-user.md, /transfer/wx/pay). The money leaves the wallet
 * before the provider is asked. It comes back when the provider surely did not send it. While nobody knows, the withdrawal is
 * pending, and the user can make no other one.
 */
export async function withdraw(deps: Deps, withdrawal: Withdrawal): Promise<Withdrawn> {
  const { payments, outbox, now, log } = deps
  if (!payments.transfers) throw new ContractError('FeatureDisabled')
  const [billNo, at] = [randomBytes(16).toString('hex'), now()]
  const made = await outbox.commit((change) => takeMoney(deps, withdrawal, { billNo, at }, change))
  if ('refusal' in made) throw made.refusal
  const { openid, cents, feeCents, userId } = made.bill
  let transfer: TransferState
  try {
    transfer = await payments.transfers.transfer({ billNo, openid, cents: cents - feeCents, madeAt: at })
  } catch (error) {
    log.error({ err: error, billNo, userId }, 'nobody knows whether a transfer was made; it will be asked about')
    throw new ContractError('WithdrawFailed', { detail: `${billNo} is pending` })
  }
  await settleAtOnce(deps, made, transfer)
  if (transfer.state === 'refused') throw new ContractError('WithdrawFailed', { detail: transfer.reason })
  const { paymentNo } = transfer
  return {
    billNo,
    paymentNo,
    at: transfer.at,
    packageInfo: 'packageInfo' in transfer ? transfer.packageInfo : undefined,
  }
}

/** Spends the secret, and the money unless the withdrawal is refused. Throws WxNotBound and SignatureInvalid. */
async function takeMoney(
  deps: Deps,
  withdrawal: Withdrawal,
  { billNo, at }: { billNo: string; at: number },
  change: Change,
): Promise<{ bill: WithdrawalDocument; wallet: Wallet } | { refusal: ContractError }> {
  const { withdrawers, spentSecrets, ledger, withdrawals, config } = deps
  const { userId } = withdrawal
  const withdrawer = await withdrawers.of(userId, change)
  const { openid, sealed } = withdrawer
  if (!openid) throw new ContractError('WxNotBound')
  checkSecret(deps, withdrawal, openid, sealed)
  spentSecrets.spend(userId, signedCall(withdrawal), at, change)
  const cents = Number(withdrawal.amount)
  const refusal = refusalOf(cents, withdrawer, config.withdrawMinimum)
  if (refusal) return { refusal }
  const dates = { createdAt: new Date(at), checkAt: new Date(at + firstCheckAfter), checks: 0 }
  const bill = { _id: billNo, userId, openid, cents, feeCents: feeOf(cents), status: 'pending' as const, ...dates }
  withdrawals.add(bill, change)
  const movement = { key: `withdrawal:${billNo}`, kind: 'withdrawal' as const, cents, at }
  return { bill, wallet: ledger.debit(withdrawer.wallet, movement, change) }
}

function refusalOf(cents: number, { wallet, isWaiting }: Withdrawer, minimum: number): ContractError | undefined {
  if (cents < minimum) return new ContractError('AmountTooSmall', { text: minimumText(minimum) })
  if (wallet.balance < cents) return new ContractError('BalanceTooLow')
  if (isWaiting) return new ContractError('WithdrawFailed', { detail: 'another withdrawal is not settled yet' })
  return undefined
}

function checkSecret(deps: Deps, withdrawal: Withdrawal, openid: string, sealed: string | undefined): void {
  const { config, now } = deps
  const { time, secret } = withdrawal
  const seconds = Number(time) >= 1e11 ? Number(time) / 1000 : Number(time)
  if (Math.abs(now() / 1000 - seconds) > clockSkew) throw new ContractError('SignatureInvalid', { detail: 'time' })
  const key = config.payMacKey
  const payPasswordMd5 = sealed !== undefined && key ? unseal(Buffer.from(key, 'hex'), sealed) : undefined
  // Sealed under a key that was changed: whether the secret holds it can't be seen until it is set again.
  if (sealed !== undefined && key && payPasswordMd5 === undefined && config.withdrawNeedsPayPassword)
    throw new ContractError('SignatureInvalid', { detail: 'the pay password must be set again' })
  const signed = { ...withdrawal, apiKey: config.apiKey, openid, payPasswordMd5 }
  if (!isWithdrawalSecret(secret, signed, { needsPayPassword: config.withdrawNeedsPayPassword }))
    throw new ContractError('SignatureInvalid')
}

const minimumText = (cents: number) => ({
  zh: `提现最低限制${cents / 100}元`,
  en: `The minimum is ${cents / 100} yuan`,
})
