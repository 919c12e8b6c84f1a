import { type Change, ensureIndexes } from '@im/service-kit'
import type { Collection, Db } from 'mongodb'

export interface DepartmentDocument {
  _id: string
  companyId: string
  /** Of the root: the id of the company. */
  parentId: string
  departName: string
  createUserId: number
  /** Seconds. */
  createTime: number
  type: number
  /** Employees of the department itself. */
  empNum: number
}

export class DepartmentsRepository {
  readonly #departments: Collection<DepartmentDocument>

  constructor(db: Db) {
    this.#departments = db.collection('departments')
  }

  createIndexes = () => ensureIndexes(this.#departments, [{ key: { companyId: 1, createTime: 1, _id: 1 } }])

  async add(departments: readonly DepartmentDocument[], { session }: Change): Promise<void> {
    await this.#departments.insertMany([...departments], { session })
  }

  async find(departmentId: string, change?: Change): Promise<DepartmentDocument | undefined> {
    return (await this.#departments.findOne({ _id: departmentId }, { session: change?.session })) ?? undefined
  }

  /** Of several companies, the oldest first. */
  of(companyIds: readonly string[], change?: Change): Promise<DepartmentDocument[]> {
    return this.#departments
      .find({ companyId: { $in: [...companyIds] } }, { session: change?.session })
      .sort({ createTime: 1, _id: 1 })
      .toArray()
  }

  async set(departmentId: string, fields: Partial<DepartmentDocument>, { session }: Change): Promise<void> {
    await this.#departments.updateOne({ _id: departmentId }, { $set: fields }, { session })
  }

  async countEmployees(departmentId: string, by: number, { session }: Change): Promise<void> {
    await this.#departments.updateOne({ _id: departmentId }, { $inc: { empNum: by } }, { session })
  }

  async remove(departmentIds: readonly string[], { session }: Change): Promise<void> {
    await this.#departments.deleteMany({ _id: { $in: [...departmentIds] } }, { session })
  }
}
