import type { Change } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'
import type { UserDocument } from '../users/user-document.ts'
import { emptyWallet, type Wallet, walletsCollection } from './ledger.ts'
import { type OpenidDocument, openidsCollection } from './openids-repository.ts'
import { type WithdrawalDocument, withdrawalsCollection } from './withdrawals-repository.ts'

/** What decides about a withdrawal. */
export interface Withdrawer {
  /** Of their WeChat account. */
  openid: string | undefined
  /** The sealed pay password (passwords/pay-password.ts). */
  sealed: string | undefined
  wallet: Wallet
  /** The outcome of another withdrawal is not known yet. */
  isWaiting: boolean
}

/** Users who take their money out, read as one. */
export class WithdrawersRepository {
  readonly #users: Collection<UserDocument>

  constructor(db: Db) {
    this.#users = db.collection('users')
  }

  async of(userId: number, { session }: Change): Promise<Withdrawer> {
    const found = await this.#users
      .aggregate<{ sealed?: string; openids: OpenidDocument[]; wallets: Wallet[]; pending: WithdrawalDocument[] }>(
        [
          { $match: { _id: userId } },
          { $project: { sealed: '$payPassword.sealed' } },
          { $lookup: { from: openidsCollection, localField: '_id', foreignField: 'userId', as: 'openids' } },
          { $lookup: { from: walletsCollection, localField: '_id', foreignField: '_id', as: 'wallets' } },
          {
            $lookup: {
              ...{ from: withdrawalsCollection, localField: '_id', foreignField: 'userId', as: 'pending' },
              pipeline: [{ $match: { status: 'pending' } }, { $limit: 1 }],
            },
          },
        ],
        { session },
      )
      .toArray()
    const { sealed, openids = [], wallets = [], pending = [] } = found[0] ?? {}
    const wallet = wallets[0] ?? emptyWallet(userId)
    return { openid: openids[0]?._id, sealed, wallet, isWaiting: pending.length > 0 }
  }
}
