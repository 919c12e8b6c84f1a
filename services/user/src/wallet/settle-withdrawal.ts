import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { TransferState } from '../payments/payment-provider.ts'
import { type Wallet, WalletMovedError } from './ledger.ts'
import { SettledError, type WithdrawalDocument } from './withdrawals-repository.ts'

type Settling = Pick<Deps, 'outbox' | 'withdrawals' | 'ledger' | 'now' | 'log'>

/**
 * Writes down what became of a withdrawal, and gives the money back when it was refused. Telling it again changes nothing. A
 * provider that made a transfer which it had refused or did not know is for an operator to clear up.
 */
export async function settleWithdrawal(deps: Settling, billNo: string, transfer: TransferState): Promise<void> {
  const { outbox, withdrawals, ledger, log } = deps
  if (transfer.state === 'paid') {
    if (await withdrawals.setPaid(billNo, transfer.paymentNo)) return
    if (await withdrawals.notePaidAfterRefusal(billNo, transfer.paymentNo))
      log.error({ billNo }, 'a withdrawal that was given back was paid by its provider, too')
  }
  if (transfer.state !== 'refused') return
  const { reason } = transfer
  await outbox.commit(async (change) => {
    const bill = await withdrawals.pending(billNo, change)
    if (bill) giveBack(deps, { bill, wallet: await ledger.of(bill.userId, change) }, reason, change)
  })
}

/** The same right after the withdrawal was made: what it left is known, unless somebody else was quicker. */
export async function settleAtOnce(
  deps: Settling,
  made: { bill: WithdrawalDocument; wallet: Wallet },
  transfer: TransferState,
): Promise<void> {
  const billNo = made.bill._id
  if (transfer.state !== 'refused') return await settleWithdrawal(deps, billNo, transfer)
  try {
    await deps.outbox.commit(async (change) => giveBack(deps, made, transfer.reason, change))
  } catch (error) {
    if (!(error instanceof WalletMovedError || error instanceof SettledError)) throw error
    await settleWithdrawal(deps, billNo, transfer)
  }
}

function giveBack(
  { withdrawals, ledger, now }: Settling,
  { bill, wallet }: { bill: WithdrawalDocument; wallet: Wallet },
  reason: string,
  change: Change,
): void {
  withdrawals.setRefused(bill._id, reason, change)
  ledger.credit(wallet, { key: `refund:${bill._id}`, kind: 'refund', cents: bill.cents, at: now() }, change)
}
