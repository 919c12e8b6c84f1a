import { ContractError, type Handlers } from '@im/contracts'
import { type EmployeeRole, employeeRoles, employees } from '@im/contracts/org'
import { bindHandlers, skipOf } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { readCompany } from '../directory/access.ts'
import { addEmployees } from './add-employees.ts'
import { moveEmployee, setPosition, setRole } from './change-employee.ts'
import { employeeView } from './employee-view.ts'
import { getEmployee } from './get-employee.ts'
import { removeEmployees } from './remove-employees.ts'

/** Older apps send 0 for an ordinary employee. */
const roleOf = (sent: number): EmployeeRole =>
  sent === employeeRoles.manager ? employeeRoles.manager : employeeRoles.employee

const handlers: Handlers<typeof employees, Deps> = {
  async addEmployees(deps, { caller, params: { userId: userIds, role, ...place } }) {
    const all = await addEmployees(deps, caller.userId, { ...place, userIds, role: roleOf(role) })
    return all.map(employeeView)
  },

  async removeEmployees(deps, { caller, params }) {
    await removeEmployees(deps, params.departmentId, caller.userId, params.userIds)
  },

  moveEmployee: async (deps, { caller, params: { newDepartmentId: departmentId, ...who } }) =>
    employeeView(await moveEmployee(deps, caller.userId, { ...who, departmentId })),

  setRole: async (deps, { caller, params: { role, ...who } }) =>
    employeeView(await setRole(deps, caller.userId, { ...who, role: roleOf(role) })),

  setPosition: async (deps, { caller, params: { userId = caller.userId, ...wanted } }) =>
    employeeView(await setPosition(deps, caller.userId, { ...wanted, userId })),

  async listCompanyEmployees(deps, { caller, params }) {
    await readCompany(deps, params.companyId, caller.userId)
    return (await deps.employees.ofCompanies([params.companyId])).map(employeeView)
  },

  async pageEmployees(deps, { caller, params: { companyId, pageIndex, pageSize } }) {
    await readCompany(deps, companyId, caller.userId)
    const skip = skipOf({ pageIndex, pageSize })
    return skip === undefined ? [] : (await deps.employees.pageOf(companyId, skip, pageSize)).map(employeeView)
  },

  getEmployee: async (deps, { caller, params }) => employeeView(await getEmployee(deps, caller.userId, params)),

  async getRole(deps, { caller, params: { companyId, userId } }) {
    await readCompany(deps, companyId, caller.userId)
    const employee = await deps.employees.ofUser(companyId, userId)
    if (!employee) throw new ContractError('EmployeeNotFound')
    return employee.role
  },
}

export const employeeRoutes = bindHandlers(employees, handlers)
