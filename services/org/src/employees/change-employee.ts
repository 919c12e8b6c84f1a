import { ContractError } from '@im/contracts'
import { type EmployeeRole, employeeRoles } from '@im/contracts/org'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { demandRole, lockCompany } from '../directory/access.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'

/** An employee is in one department: moves them to another one. */
export async function moveEmployee(
  deps: Deps,
  callerId: number,
  { companyId, userId, departmentId }: { companyId: string; userId: number; departmentId: string },
): Promise<EmployeeDocument> {
  const { departments, employees, outbox } = deps
  return await outbox.commit(async (change) => {
    await lockCompany(deps, companyId, callerId, employeeRoles.manager, change)
    const employee = await findEmployee(deps, companyId, userId, change)
    const department = await departments.find(departmentId, change)
    if (department?.companyId !== companyId) throw new ContractError('DepartmentNotFound')
    if (employee.departmentId === departmentId) return employee
    await employees.set(employee, { departmentId }, change)
    await departments.countEmployees(employee.departmentId, -1, change)
    await departments.countEmployees(departmentId, 1, change)
    return { ...employee, departmentId }
  })
}

/** Makes an employee a manager, or no longer. */
export async function setRole(
  deps: Deps,
  callerId: number,
  { companyId, userId, role }: { companyId: string; userId: number; role: EmployeeRole },
): Promise<EmployeeDocument> {
  return await deps.outbox.commit(async (change) => {
    await lockCompany(deps, companyId, callerId, employeeRoles.creator, change)
    const employee = await findEmployee(deps, companyId, userId, change)
    if (employee.role === employeeRoles.creator) throw new ContractError('CreatorProtected')
    await deps.employees.set(employee, { role }, change)
    return { ...employee, role }
  })
}

/** What an employee does in the company; managers say it of others. */
export async function setPosition(
  deps: Deps,
  callerId: number,
  { companyId, userId, position }: { companyId: string; userId: number; position: string },
): Promise<EmployeeDocument> {
  return await deps.outbox.commit(async (change) => {
    const { own } = await lockCompany(deps, companyId, callerId, employeeRoles.employee, change)
    if (userId !== callerId) demandRole(own, employeeRoles.manager)
    const employee = await findEmployee(deps, companyId, userId, change)
    await deps.employees.set(employee, { position }, change)
    return { ...employee, position }
  })
}

async function findEmployee(
  { employees }: Pick<Deps, 'employees'>,
  companyId: string,
  userId: number,
  change: Change,
): Promise<EmployeeDocument> {
  const employee = await employees.ofUser(companyId, userId, change)
  if (!employee) throw new ContractError('EmployeeNotFound')
  return employee
}
