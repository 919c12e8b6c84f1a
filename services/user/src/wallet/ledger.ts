import { ContractError } from '@im/contracts'
import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export const walletsCollection = 'wallets'

/** A wallet, as it was when it was read. */
export interface Wallet {
  _id: number
  /** Cents. */
  balance: number
  /** Cents; all that was ever paid in. */
  recharged: number
  /** How many entries the journal has for this wallet. */
  entries: number
}

export type EntryKind = 'recharge' | 'withdrawal' | 'refund'

/** An entry is written once and never changed. */
export interface JournalEntry {
  /** The reason of the movement: nothing moves money twice for one reason. */
  _id: string
  userId: number
  /** 1, 2, 3 … for each wallet. */
  number: number
  kind: EntryKind
  /** Cents; negative when money leaves. */
  cents: number
  /** Cents; the balance after it. */
  balance: number
  at: Date
}

export interface Movement {
  key: string
  kind: EntryKind
  /** Positive. */
  cents: number
  at: number
}

/** Money was moved for this reason before. */
export class AlreadyPostedError extends Error {
  override readonly name = 'AlreadyPostedError'
}

/** Money of the wallet was moved since it was read. */
export class WalletMovedError extends Error {
  override readonly name = 'WalletMovedError'
}

/**
 * What users own, as whole cents. A balance and the entry that explains it commit together, so a balance is always the sum of
 * its journal and never negative.
 */
export class Ledger {
  readonly #wallets: Collection<Wallet>
  readonly #journal: Collection<JournalEntry>

  constructor(db: Db) {
    this.#wallets = db.collection(walletsCollection)
    this.#journal = db.collection('journal')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#journal, [{ key: { userId: 1, number: 1 } }])
  }

  /** The wallet of a user; an empty one who has none yet. */
  async of(userId: number, change?: Change): Promise<Wallet> {
    return (await this.#wallets.findOne({ _id: userId }, { session: change?.session })) ?? emptyWallet(userId)
  }

  /**
   * Adds money to a wallet, and returns it as it is then. One that is read within the change is tried again when somebody else moves
   * its money; for another one the change throws WalletMovedError. It throws AlreadyPostedError for a reason that was used.
   */
  credit(wallet: Wallet, movement: Movement, change: Change): Wallet {
    return this.#move(wallet, movement, change)
  }

  /** Takes money from a wallet, as `credit` adds it. Throws BalanceTooLow. */
  debit(wallet: Wallet, movement: Movement, change: Change): Wallet {
    if (wallet.balance < movement.cents) throw new ContractError('BalanceTooLow')
    return this.#move(wallet, { ...movement, cents: -movement.cents }, change)
  }

  /** The latest entries first. */
  async entriesOf(userId: number, limit = 1000): Promise<JournalEntry[]> {
    return this.#journal.find({ userId }).sort({ number: -1 }).limit(limit).toArray()
  }

  #move(wallet: Wallet, { key, kind, cents, at }: Movement, change: Change): Wallet {
    const { _id, balance: before, recharged, entries } = wallet
    const [balance, number] = [before + cents, entries + 1]
    const after = { balance, recharged: recharged + (kind === 'recharge' ? cents : 0), entries: number }
    // A wallet that has other entries by now is not found, and its key is taken.
    // `withdrawing` was the mark of builds that began no second withdrawal by it.
    const update = {
      filter: { _id, entries },
      update: { $set: after, $unset: { withdrawing: '' } },
      upsert: true,
    } as const
    change.later(this.#wallets, { updateOne: update }, (cause) => new WalletMovedError(String(_id), { cause }))
    const entry: JournalEntry = { _id: key, userId: _id, number, kind, cents, balance, at: new Date(at) }
    const write = { insertOne: { document: entry } }
    change.later(this.#journal, write, (cause) => new AlreadyPostedError(key, { cause }))
    return { _id, ...after }
  }
}

export const emptyWallet = (userId: number): Wallet => ({ _id: userId, balance: 0, recharged: 0, entries: 0 })
