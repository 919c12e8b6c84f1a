import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export interface RechargeDocument {
  /** What the payment provider calls our order number: 32 hex digits. */
  _id: string
  userId: number
  cents: number
  provider: string
  /** How the user chose to pay: 1 Alipay, 2 WeChat; in the sandbox, too. */
  payType: number
  status: 'open' | 'paid' | 'closed'
  createdAt: Date
  /** When the provider is asked what became of it. */
  checkAt: Date
  checks: number
  /** The provider's number of the payment. */
  tradeId?: string
  paidAt?: Date
}

/** Orders of users who want to pay money in. */
export class RechargesRepository {
  readonly #recharges: Collection<RechargeDocument>

  constructor(db: Db) {
    this.#recharges = db.collection('recharges')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#recharges, [{ key: { status: 1, checkAt: 1 } }])
  }

  async add(recharge: RechargeDocument): Promise<void> {
    await this.#recharges.insertOne(recharge)
  }

  addPaid(recharge: RechargeDocument, change: Change): void {
    change.later(this.#recharges, { insertOne: { document: recharge } })
  }

  async byId(orderId: string, change: Change): Promise<RechargeDocument | undefined> {
    return (await this.#recharges.findOne({ _id: orderId }, { session: change.session })) ?? undefined
  }

  /** Marks an order as paid that was read within the change, and was not. */
  setPaid(orderId: string, tradeId: string, at: number, change: Change): void {
    const update = { $set: { status: 'paid' as const, tradeId, paidAt: new Date(at) } }
    change.later(this.#recharges, { updateOne: { filter: { _id: orderId }, update } })
  }

  /** Open orders that the provider should be asked about by now. */
  async due(now: number, limit: number): Promise<RechargeDocument[]> {
    return this.#recharges
      .find({ status: 'open', checkAt: { $lte: new Date(now) } })
      .sort({ checkAt: 1 })
      .limit(limit)
      .toArray()
  }

  async checkAgain(orderId: string, at: number): Promise<void> {
    await this.#recharges.updateOne({ _id: orderId }, { $set: { checkAt: new Date(at) }, $inc: { checks: 1 } })
  }

  /** The provider will not take money for it any more. */
  async close(orderId: string): Promise<void> {
    await this.#recharges.updateOne({ _id: orderId, status: 'open' }, { $set: { status: 'closed' } })
  }
}
