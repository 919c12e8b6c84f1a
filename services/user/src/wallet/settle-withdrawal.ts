import type { Deps } from '../deps.ts'
import type { TransferState } from '../payments/payment-provider.ts'

/** Writes down what became of a withdrawal, and gives the money back when it was refused. Telling it again changes nothing. */
export async function settleWithdrawal(
  { outbox, withdrawals, ledger, now }: Pick<Deps, 'outbox' | 'withdrawals' | 'ledger' | 'now'>,
  billNo: string,
  transfer: TransferState,
): Promise<void> {
  if (transfer.state === 'waiting') return
  const outcome =
    transfer.state === 'paid'
      ? { status: 'paid' as const, paymentNo: transfer.paymentNo }
      : { status: 'refused' as const, reason: transfer.reason }
  await outbox.commit(async (change) => {
    const settled = await withdrawals.settle(billNo, outcome, change)
    if (!settled) return
    const { userId, cents } = settled
    await ledger.endWithdrawal(userId, billNo, change)
    if (outcome.status === 'refused')
      await ledger.credit({ userId, key: `refund:${billNo}`, kind: 'refund', cents, at: now() }, change)
  })
}
