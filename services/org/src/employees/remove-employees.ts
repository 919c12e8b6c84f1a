import { ContractError } from '@im/contracts'
import { employeeRoles } from '@im/contracts/org'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { demandRole } from '../directory/access.ts'
import type { CompanyDocument } from '../directory/company-document.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'
import { lockDepartment } from '../directory/find-department.ts'
import { announceLeft } from '../directory/hide-company.ts'

/** Removes employees of a department. Managers are removed by the creator only. */
export async function removeEmployees(
  deps: Deps,
  departmentId: string,
  callerId: number,
  userIds: readonly number[],
): Promise<void> {
  await deps.outbox.commit(async (change) => {
    const { company, own } = await lockDepartment(deps, departmentId, callerId, employeeRoles.manager, change)
    const found = await deps.employees.ofUsers(company._id, userIds, change)
    const leaving = found.filter((employee) => employee.departmentId === departmentId)
    if (!leaving.length) throw new ContractError('EmployeeNotFound')
    if (leaving.some(({ role }) => role === employeeRoles.creator)) throw new ContractError('CreatorProtected')
    const others = leaving.filter(({ userId }) => userId !== callerId)
    if (others.some(({ role }) => role === employeeRoles.manager)) demandRole(own, employeeRoles.creator)
    await removeFrom(deps, company, leaving, change)
  })
}

/** Takes employees out of their company, whatever departments they are in. */
export async function removeFrom(
  { companies, departments, employees, now }: Pick<Deps, 'companies' | 'departments' | 'employees' | 'now'>,
  company: CompanyDocument,
  leaving: readonly EmployeeDocument[],
  change: Change,
): Promise<void> {
  if (!leaving.length) return
  await employees.remove(leaving, change)
  await companies.countEmployees(company._id, -leaving.length, change)
  for (const [departmentId, { length }] of Map.groupBy(leaving, (employee) => employee.departmentId))
    await departments.countEmployees(departmentId, -length, change)
  announceLeft(
    company,
    leaving.map(({ userId }) => userId),
    now(),
    change,
  )
}
