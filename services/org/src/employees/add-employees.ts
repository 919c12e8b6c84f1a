import { ContractError } from '@im/contracts'
import { type EmployeeRole, employeeRoles, employeesJoined } from '@im/contracts/org'
import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { demandRole, lockCompany } from '../directory/access.ts'
import { newId } from '../directory/company-document.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'
import { namesOf } from '../directory/names-of.ts'
import { settleNewcomers } from './settle-newcomers.ts'

const mostPerCompany = 50_000

/**
 * Adds users to a department and returns all who are in it then. Unknown users, system accounts and employees of the company are left out; when
 * nobody is left it is EmployeeExists.
 */
export async function addEmployees(
  deps: Deps,
  callerId: number,
  wanted: { companyId: string; departmentId: string; userIds: readonly number[]; role: EmployeeRole },
): Promise<EmployeeDocument[]> {
  const { companies, departments, employees, outbox, now } = deps
  const { companyId, departmentId, userIds, role } = wanted
  const names = await namesOf(
    deps,
    userIds.filter((userId) => userId >= firstUserId),
  )
  const added = await outbox.commit(async (change) => {
    const { company, own } = await lockCompany(deps, companyId, callerId, employeeRoles.manager, change)
    if (role === employeeRoles.manager) demandRole(own, employeeRoles.creator)
    const department = await departments.find(departmentId, change)
    if (department?.companyId !== companyId) throw new ContractError('DepartmentNotFound')
    const present = new Set((await employees.ofUsers(companyId, userIds, change)).map(({ userId }) => userId))
    const joining = [...names].filter(([userId]) => !present.has(userId))
    if (!joining.length) throw new ContractError('EmployeeExists')
    if (company.empNum + joining.length > mostPerCompany)
      throw new ContractError('InvalidParams', { detail: `userId: a company has at most ${mostPerCompany} employees` })
    const createTime = Math.floor(now() / 1000)
    await employees.add(
      joining.map(([userId, nickname]) => ({
        ...{ _id: newId(), userId, companyId, departmentId, nickname, position: '员工', role, createTime },
      })),
      change,
    )
    await companies.countEmployees(companyId, joining.length, change)
    await departments.countEmployees(departmentId, joining.length, change)
    const { companyNo, companyName } = company
    const joined = joining.map(([userId]) => userId)
    const about = { companyId, companyNo, companyName, at: now(), joinedAt: createTime }
    change.announce(employeesJoined, companyId, { ...about, userIds: joined })
    return new Map(joining)
  })
  await settleNewcomers(deps, added)
  return await employees.ofDepartments([departmentId])
}
