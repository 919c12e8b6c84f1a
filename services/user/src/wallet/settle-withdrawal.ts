import type { Deps } from '../deps.ts'
import type { TransferState } from '../payments/payment-provider.ts'

/**
 * Writes down what became of a withdrawal, and gives the money back when it was refused. Telling it again changes nothing. A
 * provider that made a transfer which it had refused or did not know is for an operator to clear up.
 */
export async function settleWithdrawal(
  { outbox, withdrawals, ledger, now, log }: Pick<Deps, 'outbox' | 'withdrawals' | 'ledger' | 'now' | 'log'>,
  billNo: string,
  transfer: TransferState,
): Promise<void> {
  if (transfer.state === 'waiting') return
  const outcome =
    transfer.state === 'paid'
      ? { status: 'paid' as const, paymentNo: transfer.paymentNo }
      : { status: 'refused' as const, reason: transfer.reason }
  const isPaidTwice = await outbox.commit(async (change) => {
    const settled = await withdrawals.settle(billNo, outcome, change)
    if (!settled)
      return outcome.status === 'paid' && (await withdrawals.notePaidAfterRefusal(billNo, outcome.paymentNo, change))
    const { userId, cents } = settled
    ledger.endWithdrawal(userId, billNo, change)
    if (outcome.status === 'refused')
      await ledger.credit({ userId, key: `refund:${billNo}`, kind: 'refund', cents, at: now() }, change)
    return false
  })
  if (isPaidTwice) log.error({ billNo }, 'a withdrawal that was given back was paid by its provider, too')
}
