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

/** What became of the withdrawal was noted before. */
export class SettledError extends Error {
  override readonly name = 'SettledError'
}

export const withdrawalsCollection = 'withdrawals'

/** Money on its way out. */
export class WithdrawalsRepository {
  readonly #withdrawals: Collection<WithdrawalDocument>

  constructor(db: Db) {
    this.#withdrawals = db.collection(withdrawalsCollection)
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#withdrawals, [{ key: { status: 1, checkAt: 1 } }, { key: { userId: 1, status: 1 } }])
  }

  add(withdrawal: WithdrawalDocument, change: Change): void {
    change.later(this.#withdrawals, { insertOne: { document: withdrawal } })
  }

  /** A withdrawal whose outcome nobody has noted yet. */
  async pending(billNo: string, { session }: Change): Promise<WithdrawalDocument | undefined> {
    return (await this.#withdrawals.findOne({ _id: billNo, status: 'pending' }, { session })) ?? undefined
  }

  /** The change throws SettledError when the outcome was noted before. */
  setRefused(billNo: string, reason: string, change: Change): void {
    // One that is not pending is not found, and its key is taken.
    const filter = { _id: billNo, status: 'pending' as const }
    const write = { updateOne: { filter, update: { $set: { status: 'refused' as const, reason } }, upsert: true } }
    change.later(this.#withdrawals, write, (cause) => new SettledError(billNo, { cause }))
  }

  /** False when the outcome was noted before. */
  async setPaid(billNo: string, paymentNo: string): Promise<boolean> {
    const filter = { _id: billNo, status: 'pending' as const }
    const { matchedCount } = await this.#withdrawals.updateOne(filter, { $set: { status: 'paid', paymentNo } })
    return matchedCount > 0
  }

  /** True for a withdrawal that was given back: its money is gone twice. */
  async notePaidAfterRefusal(billNo: string, paymentNo: string): Promise<boolean> {
    const filter = { _id: billNo, status: 'refused' as const }
    const { matchedCount } = await this.#withdrawals.updateOne(filter, { $set: { paidAfterRefusal: paymentNo } })
    return matchedCount > 0
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
