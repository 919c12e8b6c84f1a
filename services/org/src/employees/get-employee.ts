import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { readCompany } from '../directory/access.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'

/** An employee by their own id, or as a user of a company; without a company, of one that the caller works for, too. */
export async function getEmployee(
  deps: Deps,
  callerId: number,
  { employeeId, userId, companyId }: { employeeId?: string; userId?: number; companyId?: string },
): Promise<EmployeeDocument> {
  if (employeeId !== undefined) {
    const employee = await deps.employees.find(employeeId)
    if (!employee) throw new ContractError('EmployeeNotFound')
    await readCompany(deps, employee.companyId, callerId)
    return employee
  }
  if (userId === undefined) throw new ContractError('MissingParam', { detail: 'employeeId' })
  const employee =
    companyId === undefined
      ? await inSharedCompany(deps, callerId, userId)
      : await inCompany(deps, callerId, userId, companyId)
  if (!employee) throw new ContractError('EmployeeNotFound')
  return employee
}

async function inCompany(deps: Deps, callerId: number, userId: number, companyId: string) {
  await readCompany(deps, companyId, callerId)
  return await deps.employees.ofUser(companyId, userId)
}

async function inSharedCompany(deps: Deps, callerId: number, userId: number) {
  const found = await deps.employees.everywhere([callerId, userId])
  const own = found.filter((employee) => employee.userId === callerId).map(({ companyId }) => companyId)
  const live = new Set((await deps.companies.byIds(own)).map(({ _id }) => _id))
  return found.find((employee) => employee.userId === userId && live.has(employee.companyId))
}
