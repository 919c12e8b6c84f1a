import { setTimeout as delay } from 'node:timers/promises'
import { type Closable, holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { BadNotificationError } from '../payments/payment-provider.ts'
import { creditRecharge } from './credit-recharge.ts'
import type { RechargeDocument } from './recharges-repository.ts'
import { settleWithdrawal } from './settle-withdrawal.ts'
import type { WithdrawalDocument } from './withdrawals-repository.ts'

/** How often (ms) orders and bills to ask about are looked for. */
const lookEvery = 10_000
/** Questions about orders, and as many about bills. */
const atOnce = 20
/** The pause before the next question about one order doubles, up to this (ms). */
const longestPause = 3_600_000
/** An order that is not paid by then (ms) will not be asked about any more. If its provider still tells of a payment, it counts. */
const orderLife = 86_400_000
/**
 * A bill that the provider does not know after this time (ms) will never be known: its request is signed with the time at which
 * it was made, and is refused when it is older than five minutes, however long its process stood still.
 */
const unknownBillLife = 600_000

/** Asks the providers about what they did not tell: payments whose notification was lost, transfers whose answer was lost. */
export function startAskingProviders(deps: Deps): Closable {
  return holdLease(deps, {
    name: 'ask-payment-providers',
    async work(signal) {
      while (!signal.aborted) {
        const { areMoreDue } = await askProviders(deps)
        if (!areMoreDue) await delay(lookEvery, undefined, { signal }).catch(() => {})
      }
    },
  })
}

/** Asks about what is due, all beside each other: a provider that does not answer holds up no questions to another. */
export async function askProviders(deps: Deps): Promise<{ areMoreDue: boolean }> {
  const { recharges, withdrawals, now } = deps
  const [orders, bills] = await Promise.all([recharges.due(now(), atOnce), withdrawals.due(now(), atOnce)])
  const answers = await Promise.all([
    ...orders.map((order) => attempt(deps, order._id, () => askAboutOrder(deps, order))),
    ...bills.map((bill) => attempt(deps, bill._id, () => askAboutBill(deps, bill))),
  ])
  // Where nothing can be asked or noted, what is due stays so.
  const areMoreDue = answers.includes(true) && Math.max(orders.length, bills.length) === atOnce
  return { areMoreDue }
}

/** Returns whether it succeeded. */
async function attempt({ log }: Deps, number: string, ask: () => Promise<void>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch (error) {
    log.warn({ err: error, number }, 'a payment provider did not say what became of an order')
    return false
  }
}

const nextCheck = (now: number, checks: number) => now + Math.min(60_000 * 2 ** checks, longestPause)

async function askAboutOrder(deps: Deps, { _id: orderId, provider: name, createdAt, checks }: RechargeDocument) {
  const { recharges, payments, now } = deps
  // Before the question, so that one that fails does not come again at once.
  await recharges.checkAgain(orderId, nextCheck(now(), checks))
  const provider = name === 'alipay' || name === 'wechat' ? payments[name] : undefined
  const answer = await provider?.query(orderId)
  if (answer?.state === 'paid') {
    await creditRecharge(deps, answer.payment, name).catch((error) => {
      if (!(error instanceof BadNotificationError)) throw error
      deps.log.error({ err: error, orderId }, 'a payment does not fit its order')
    })
    return
  }
  if (answer?.state === 'closed' || now() - createdAt.getTime() > orderLife) await recharges.close(orderId)
}

async function askAboutBill(deps: Deps, { _id: billNo, createdAt, checks }: WithdrawalDocument) {
  const { withdrawals, payments, now } = deps
  await withdrawals.checkAgain(billNo, nextCheck(now(), checks))
  if (!payments.transfers) return
  const transfer = await payments.transfers.query(billNo)
  if (transfer) await settleWithdrawal(deps, billNo, transfer)
  else if (now() - createdAt.getTime() > unknownBillLife)
    await settleWithdrawal(deps, billNo, { state: 'refused', reason: 'the provider does not know the bill' })
}
