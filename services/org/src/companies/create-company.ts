import { ContractError } from '@im/contracts'
import { departmentTypes, employeeRoles, employeesJoined } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { type CompanyDocument, newId } from '../directory/company-document.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'
import { namesOf } from '../directory/names-of.ts'
import { settleNewcomers } from '../employees/settle-newcomers.ts'

const mostPerUser = 10

const { root, normal, customerService } = departmentTypes
/** The departments that a new company has. Apps don't show the root, so its creator is in the first of them. */
const firstDepartments = [
  { departName: '人事部', type: normal },
  { departName: '财务部', type: normal },
  { departName: '客服部', type: customerService },
]

/** Makes a company with its first departments. The caller is its creator. Throws CompanyNameTaken. */
export async function createCompany(deps: Deps, userId: number, companyName: string): Promise<CompanyDocument> {
  const { companies, departments, employees, outbox, now } = deps
  const nickname = (await namesOf(deps, [userId])).get(userId)
  if (nickname === undefined) throw new ContractError('TokenInvalid')
  const companyNo = await companies.nextNumber()
  await companies.openCount(userId)
  const createTime = Math.floor(now() / 1000)
  const [companyId, rootDepartmentId] = [newId(), newId()]
  const department = (departName: string, type: number): DepartmentDocument => ({
    ...{ _id: newId(), companyId, parentId: rootDepartmentId, departName },
    ...{ createUserId: userId, createTime, type, empNum: 0 },
  })
  const company: CompanyDocument = {
    ...{ _id: companyId, companyNo, companyName, createUserId: userId, createTime },
    ...{ deleteUserId: 0, deleteTime: 0, noticeContent: '', noticeTime: 0 },
    ...{ rootDepartmentId, type: 0, empNum: 1, changes: 0 },
  }
  const rootDepartment = { ...department(companyName, root), _id: rootDepartmentId, parentId: companyId }
  const others = firstDepartments.map(({ departName, type }) => department(departName, type))
  const home = others[0] as DepartmentDocument
  const creator = {
    ...{ _id: newId(), userId, companyId, departmentId: home._id, nickname, createTime },
    ...{ position: '创建者', role: employeeRoles.creator },
  }
  await outbox.commit(async (change) => {
    if ((await companies.countMade(userId, change)) > mostPerUser)
      throw new ContractError('InvalidParams', { detail: `companyName: a user makes at most ${mostPerUser} companies` })
    await companies.claimName(companyName, companyId, change)
    await companies.add(company, change)
    await departments.add([rootDepartment, { ...home, empNum: 1 }, ...others.slice(1)], change)
    await employees.add([creator], change)
    const about = { companyId, companyNo, companyName, at: now() }
    change.announce(employeesJoined, companyId, { ...about, userIds: [userId], joinedAt: createTime })
  })
  await settleNewcomers(deps, new Map([[userId, nickname]]))
  return company
}
