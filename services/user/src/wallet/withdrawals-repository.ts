import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export interface WithdrawalDocument {
  /** Our number of the bill: 32 hex digits. */
  _id: string
  userId: number
  openid: string
  /** What left the wallet. */
  cents: number
  /** What of it is kept. */
  feeCents: number
  /** `pending`: the provider did not say yet. */
  status: 'pending' | 'paid' | 'refused'
  createdAt: Date
  checkAt: Date
  checks: number
  /** The provider's number of the transfer. */
  paymentNo?: string
  reason?: string
  /** The provider's number of a transfer that it made after all, although it was settled as refused. */
  paidAfterRefusal?: string
}

/** Money on its way out. */
export class WithdrawalsRepository {
  readonly #withdrawals: Collection<WithdrawalDocument>

  constructor(db: Db) {
    this.#withdrawals = db.collection('withdrawals')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#withdrawals, [{ key: { status: 1, checkAt: 1 } }])
  }

  add(withdrawal: WithdrawalDocument, change: Change): void {
    change.later(this.#withdrawals, { insertOne: { document: withdrawal } })
  }

  /** Returns the withdrawal to the one who settles it. */
  async settle(
    billNo: string,
    outcome: { status: 'paid'; paymentNo: string } | { status: 'refused'; reason: string },
    { session }: Change,
  ): Promise<WithdrawalDocument | undefined> {
    const settled = await this.#withdrawals.findOneAndUpdate(
      { _id: billNo, status: 'pending' },
      { $set: outcome },
      { session, returnDocument: 'after' },
    )
    return settled ?? undefined
  }

  /** True for a withdrawal that was given back: its money is gone twice. */
  async notePaidAfterRefusal(billNo: string, paymentNo: string, { session }: Change): Promise<boolean> {
    const filter = { _id: billNo, status: 'refused' as const }
    return (
      (await this.#withdrawals.updateOne(filter, { $set: { paidAfterRefusal: paymentNo } }, { session })).matchedCount >
      0
    )
  }

  async due(now: number, limit: number): Promise<WithdrawalDocument[]> {
    return this.#withdrawals
      .find({ status: 'pending', checkAt: { $lte: new Date(now) } })
      .sort({ checkAt: 1 })
      .limit(limit)
      .toArray()
  }

  async checkAgain(billNo: string, at: number): Promise<void> {
    await this.#withdrawals.updateOne({ _id: billNo }, { $set: { checkAt: new Date(at) }, $inc: { checks: 1 } })
  }
}
