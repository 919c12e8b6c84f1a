import { ContractError } from '@im/contracts'
import { type Change, ensureIndexes, isDuplicateKey } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

interface WalletDocument {
  _id: number
  /** Cents. */
  balance: number
  /** Cents; all that was ever paid in. */
  recharged: number
  /** How many entries the journal has for this wallet. */
  entries: number
  /** The withdrawal whose outcome is not known yet. */
  withdrawing?: string
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
  userId: number
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

/**
 * What users own, as whole cents. A balance and the entry that explains it commit together, so a balance is always the sum of
 * its journal and never negative.
 */
export class Ledger {
  readonly #wallets: Collection<WalletDocument>
  readonly #journal: Collection<JournalEntry>

  constructor(db: Db) {
    this.#wallets = db.collection('wallets')
    this.#journal = db.collection('journal')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#journal, [{ key: { userId: 1, number: 1 } }])
  }

  async of(userId: number): Promise<{ balance: number; recharged: number }> {
    const { balance = 0, recharged = 0 } = (await this.#wallets.findOne({ _id: userId })) ?? {}
    return { balance, recharged }
  }

  /** Makes the wallet if there is none. Before a movement, because two that made it in transactions would conflict. */
  async open(userId: number): Promise<void> {
    const empty = { balance: 0, recharged: 0, entries: 0 }
    try {
      await this.#wallets.updateOne({ _id: userId }, { $setOnInsert: empty }, { upsert: true })
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
    }
  }

  /** Adds money to an open wallet and returns the balance. The change throws AlreadyPostedError. */
  async credit({ userId, cents, ...entry }: Movement, change: Change): Promise<number> {
    const recharged = entry.kind === 'recharge' ? cents : 0
    const wallet = await this.#wallets.findOneAndUpdate(
      { _id: userId },
      { $inc: { balance: cents, recharged, entries: 1 } },
      { returnDocument: 'after', session: change.session },
    )
    if (!wallet) throw new Error(`user ${userId} has no wallet`)
    this.#write(wallet, { ...entry, cents }, change)
    return wallet.balance
  }

  /** Takes the money of a withdrawal. Throws BalanceTooLow, and WithdrawFailed while another one is not settled. */
  async withdraw(withdrawal: string, { userId, cents, ...entry }: Movement, change: Change): Promise<void> {
    const { session } = change
    const wallet = await this.#wallets.findOneAndUpdate(
      { _id: userId, balance: { $gte: cents }, withdrawing: { $exists: false } },
      { $inc: { balance: -cents, entries: 1 }, $set: { withdrawing: withdrawal } },
      { returnDocument: 'after', session },
    )
    if (!wallet) {
      const found = await this.#wallets.findOne({ _id: userId }, { session })
      if ((found?.balance ?? 0) < cents) throw new ContractError('BalanceTooLow')
      throw new ContractError('WithdrawFailed', { detail: 'another withdrawal is not settled yet' })
    }
    this.#write(wallet, { ...entry, cents: -cents }, change)
  }

  /** The outcome of a withdrawal is known, and the next one may begin. */
  endWithdrawal(userId: number, withdrawal: string, change: Change): void {
    const filter = { _id: userId, withdrawing: withdrawal }
    change.later(this.#wallets, { updateOne: { filter, update: { $unset: { withdrawing: 1 } } } })
  }

  /** The latest entries first. */
  async entriesOf(userId: number, limit = 1000): Promise<JournalEntry[]> {
    return this.#journal.find({ userId }).sort({ number: -1 }).limit(limit).toArray()
  }

  #write(
    { _id: userId, balance, entries: number }: WalletDocument,
    { key, kind, cents, at }: Omit<Movement, 'userId'>,
    change: Change,
  ): void {
    const entry: JournalEntry = { _id: key, userId, number, kind, cents, balance, at: new Date(at) }
    const write = { insertOne: { document: entry } }
    change.later(this.#journal, write, (cause) => new AlreadyPostedError(key, { cause }))
  }
}
