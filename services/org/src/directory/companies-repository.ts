import { ContractError } from '@im/contracts'
import { type Change, ensureIndexes, escapeRegex, foldText, gramsOf, gramToFind, isDuplicateKey } from '@im/service-kit'
import type { Collection, Db, Filter, UpdateFilter } from 'mongodb'
import { type CompanyDocument, nameKeyOf } from './company-document.ts'

/** Nobody reads further than this in a list of companies. */
const longestList = 10_000
const rowsAtOnce = 500

const live: Filter<CompanyDocument> = { deleteTime: 0 }

export class CompaniesRepository {
  readonly #companies: Collection<CompanyDocument>
  readonly #counters: Collection<{ _id: string; value: number }>
  /** What live companies are called. Ids are unique on every server, also while two transactions want the same. */
  readonly #names: Collection<{ _id: string; companyId: string }>

  constructor(db: Db) {
    this.#companies = db.collection('companies')
    this.#counters = db.collection('counters')
    this.#names = db.collection('company_names')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#companies, [
      { key: { deleteTime: 1, createTime: 1, _id: 1 } },
      { key: { createUserId: 1, deleteTime: 1 } },
      { key: { nameGrams: 1, createTime: 1, _id: 1 } },
    ])
    await this.#counters.updateOne({ _id: 'companyNo' }, { $setOnInsert: { value: 0 } }, { upsert: true })
  }

  /** A company that is not made after all leaves a gap. */
  async nextNumber(): Promise<number> {
    return (await this.#count('companyNo', 1)) ?? 1
  }

  /** Makes sure that the count of a creator has a row: two transactions that made it would fail each other. */
  async openCount(creatorId: number): Promise<void> {
    await this.#counters.updateOne({ _id: creatorKey(creatorId) }, { $setOnInsert: { value: 0 } }, { upsert: true })
  }

  /** Counts companies that a user made; returns how many there are now. */
  async countMade(creatorId: number, change: Change): Promise<number> {
    return (await this.#count(creatorKey(creatorId), 1, change)) ?? 1
  }

  async countDeleted(creatorId: number, change: Change): Promise<void> {
    await this.#count(creatorKey(creatorId), -1, change)
  }

  async #count(key: string, by: number, change?: Change): Promise<number | undefined> {
    const options = { returnDocument: 'after' as const, session: change?.session }
    return (await this.#counters.findOneAndUpdate({ _id: key }, { $inc: { value: by } }, options))?.value
  }

  async add(company: CompanyDocument, { session }: Change): Promise<void> {
    await this.#companies.insertOne({ ...company, ...wordsOf(company) }, { session })
  }

  /** Makes companies from before companies could be searched searchable. */
  async makeAllSearchable(): Promise<void> {
    for (;;) {
      const some = await this.#companies
        .find({ nameGrams: { $exists: false } })
        .limit(rowsAtOnce)
        .toArray()
      if (!some.length) return
      await this.#companies.bulkWrite(
        some.map(({ _id, companyName }) => ({
          // Whoever renames it meanwhile is right.
          updateOne: { filter: { _id, companyName }, update: { $set: wordsOf({ companyName }) } },
        })),
        { ordered: false },
      )
    }
  }

  /** Throws CompanyNameTaken. */
  async claimName(name: string, companyId: string, { session }: Change): Promise<void> {
    try {
      await this.#names.insertOne({ _id: nameKeyOf(name), companyId }, { session })
    } catch (error) {
      throw isDuplicateKey(error) ? new ContractError('CompanyNameTaken') : error
    }
  }

  async freeName(name: string, { session }: Change): Promise<void> {
    await this.#names.deleteOne({ _id: nameKeyOf(name) }, { session })
  }

  async find(companyId: string, change?: Change): Promise<CompanyDocument | undefined> {
    const options = { session: change?.session }
    return (await this.#companies.findOne({ _id: companyId, ...live }, options)) ?? undefined
  }

  /** The same for a change, which conflicts with others of the company from now on. */
  async lock(companyId: string, change: Change): Promise<CompanyDocument | undefined> {
    return await this.#update(companyId, { $inc: { changes: 1 } }, change)
  }

  async set(companyId: string, fields: Partial<CompanyDocument>, change: Change): Promise<void> {
    const { companyName } = fields
    const words = companyName === undefined ? {} : wordsOf({ companyName })
    await this.#update(companyId, { $set: { ...fields, ...words } }, change)
  }

  async countEmployees(companyId: string, by: number, change: Change): Promise<void> {
    await this.#update(companyId, { $inc: { empNum: by } }, change)
  }

  async remove(companyId: string, deleteUserId: number, deleteTime: number, change: Change): Promise<void> {
    await this.#update(companyId, { $set: { deleteUserId, deleteTime } }, change)
  }

  async #update(
    _id: string,
    update: UpdateFilter<CompanyDocument>,
    { session }: Change,
  ): Promise<CompanyDocument | undefined> {
    const options = { session, returnDocument: 'after' as const }
    return (await this.#companies.findOneAndUpdate({ _id, ...live }, update, options)) ?? undefined
  }

  /** Those of the companies that are not deleted, the oldest first. */
  byIds(companyIds: readonly string[]): Promise<CompanyDocument[]> {
    return this.#companies
      .find({ _id: { $in: [...companyIds] }, ...live })
      .sort({ createTime: 1, _id: 1 })
      .toArray()
  }

  madeBy(userId: number, limit: number): Promise<CompanyDocument[]> {
    return this.#companies
      .find({ createUserId: userId, ...live })
      .limit(limit)
      .toArray()
  }

  /** All companies, or those with `part` in their name, the oldest first. */
  async list(part: string | undefined, skip: number, limit: number): Promise<CompanyDocument[]> {
    if (skip >= longestList) return []
    const named = part === undefined ? {} : containing(part)
    return await this.#companies
      .find({ ...live, ...named })
      .sort({ createTime: 1, _id: 1 })
      .skip(skip)
      .limit(limit)
      .toArray()
  }
}

const creatorKey = (userId: number) => `creator ${userId}`

const wordsOf = ({ companyName }: Pick<CompanyDocument, 'companyName'>) => {
  const foldedName = foldText(companyName)
  return { foldedName, nameGrams: gramsOf(foldedName) }
}

function containing(part: string): Filter<CompanyDocument> {
  const folded = foldText(part)
  return { nameGrams: gramToFind(folded), foldedName: { $regex: escapeRegex(folded) } }
}
