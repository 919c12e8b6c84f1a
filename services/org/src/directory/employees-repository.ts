import { type EmployeeRole, employeeRoles } from '@im/contracts/org'
import { type Change, ensureIndexes, indexedAnd } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export interface EmployeeDocument {
  _id: string
  userId: number
  companyId: string
  departmentId: string
  nickname: string
  position: string
  role: EmployeeRole
  /** Seconds. */
  createTime: number
}

export class EmployeesRepository {
  readonly #employees: Collection<EmployeeDocument>

  constructor(db: Db) {
    this.#employees = db.collection('employees')
  }

  createIndexes = () =>
    ensureIndexes(this.#employees, [
      { key: { companyId: 1, userId: 1 }, unique: true },
      { key: { companyId: 1, createTime: 1, _id: 1 } },
      { key: { departmentId: 1 } },
      { key: { userId: 1, createTime: 1 } },
    ])

  async add(employees: readonly EmployeeDocument[], { session }: Change): Promise<void> {
    await this.#employees.insertMany([...employees], { session })
  }

  async find(employeeId: string): Promise<EmployeeDocument | undefined> {
    return (await this.#employees.findOne({ _id: employeeId })) ?? undefined
  }

  /** A user as an employee of a company. */
  async ofUser(companyId: string, userId: number, change?: Change): Promise<EmployeeDocument | undefined> {
    return (await this.#employees.findOne({ companyId, userId }, { session: change?.session })) ?? undefined
  }

  /** Those of the users who work for a company. */
  ofUsers(companyId: string, userIds: readonly number[], change?: Change): Promise<EmployeeDocument[]> {
    return this.#employees.find({ companyId, userId: { $in: [...userIds] } }, { session: change?.session }).toArray()
  }

  /** Where users work, by what they joined first. */
  everywhere(userIds: readonly number[]): Promise<EmployeeDocument[]> {
    return this.#employees
      .find({ userId: { $in: [...userIds] } })
      .sort({ createTime: 1, _id: 1 })
      .toArray()
  }

  /** All employees of companies, by the time they joined. */
  ofCompanies(companyIds: readonly string[], change?: Change): Promise<EmployeeDocument[]> {
    return this.#employees
      .find({ companyId: { $in: [...companyIds] } }, { session: change?.session })
      .sort({ createTime: 1, _id: 1 })
      .toArray()
  }

  /** The creator and the managers, by the time they joined. */
  managersOf(companyId: string): Promise<EmployeeDocument[]> {
    return this.#employees
      .find(indexedAnd({ companyId }, { role: { $gte: employeeRoles.manager } }))
      .sort({ createTime: 1, _id: 1 })
      .toArray()
  }

  pageOf(companyId: string, skip: number, limit: number): Promise<EmployeeDocument[]> {
    return this.#employees.find({ companyId }).sort({ createTime: 1, _id: 1 }).skip(skip).limit(limit).toArray()
  }

  ofDepartments(departmentIds: readonly string[], change?: Change): Promise<EmployeeDocument[]> {
    return this.#employees.find({ departmentId: { $in: [...departmentIds] } }, { session: change?.session }).toArray()
  }

  async set({ _id }: EmployeeDocument, fields: Partial<EmployeeDocument>, { session }: Change): Promise<void> {
    await this.#employees.updateOne({ _id }, { $set: fields }, { session })
  }

  async setRole(employees: readonly EmployeeDocument[], role: EmployeeRole, { session }: Change): Promise<void> {
    const ids = employees.map(({ _id }) => _id)
    await this.#employees.updateMany({ _id: { $in: ids } }, { $set: { role } }, { session })
  }

  async remove(employees: readonly EmployeeDocument[], { session }: Change): Promise<void> {
    await this.#employees.deleteMany({ _id: { $in: employees.map(({ _id }) => _id) } }, { session })
  }

  /** A user who was added under a name is called something else. One who has got another name since keeps it. */
  async correctName(
    userId: number,
    { was, nickname }: { was: string; nickname: string },
    { session }: Change,
  ): Promise<void> {
    await this.#employees.updateMany({ userId, nickname: was }, { $set: { nickname } }, { session })
  }

  /** Users are called something else. */
  async rename(users: readonly { userId: number; nickname: string }[], { session }: Change): Promise<void> {
    if (!users.length) return
    await this.#employees.bulkWrite(
      users.map(({ userId, nickname }) => ({ updateMany: { filter: { userId }, update: { $set: { nickname } } } })),
      { session, ordered: false },
    )
  }
}
