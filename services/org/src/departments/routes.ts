import type { Handlers } from '@im/contracts'
import { departments } from '@im/contracts/org'
import { bindHandlers } from '@im/service-kit'
import { departmentView, departmentViews, shownWhole } from '../companies/company-view.ts'
import { ownCompanies } from '../companies/list-companies.ts'
import type { Deps } from '../deps.ts'
import { readCompany } from '../directory/access.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'
import { readDepartment } from '../directory/find-department.ts'
import { employeeView } from '../employees/employee-view.ts'
import { createDepartment } from './create-department.ts'
import { deleteDepartment } from './delete-department.ts'
import { renameDepartment } from './rename-department.ts'

/** Managers first, then by name. */
const byRank = (a: EmployeeDocument, b: EmployeeDocument) =>
  b.role - a.role || a.nickname.localeCompare(b.nickname, 'zh') || a.userId - b.userId

async function viewOf(deps: Deps, department: DepartmentDocument) {
  return departmentView(department, (await deps.employees.ofDepartments([department._id])).sort(byRank))
}

const handlers: Handlers<typeof departments, Deps> = {
  createDepartment: async (deps, { caller, params }) =>
    viewOf(deps, await createDepartment(deps, caller.userId, params)),

  renameDepartment: async (deps, { caller, params }) =>
    viewOf(deps, await renameDepartment(deps, params.departmentId, caller.userId, params.dpartmentName)),

  async deleteDepartment(deps, { caller, params }) {
    await deleteDepartment(deps, params.departmentId, caller.userId)
  },

  async listDepartments(deps, { caller, params: { companyId } }) {
    if (companyId === undefined) {
      const own = await ownCompanies(deps, caller.userId)
      return await departmentViews(
        deps,
        shownWhole(own).map(({ _id }) => _id),
      )
    }
    await readCompany(deps, companyId, caller.userId)
    return await departmentViews(deps, [companyId])
  },

  async getDepartment(deps, { caller, params }) {
    const { department } = await readDepartment(deps, params.departmentId, caller.userId)
    return await viewOf(deps, department)
  },

  async listDepartmentEmployees(deps, { caller, params }) {
    await readDepartment(deps, params.departmentId, caller.userId)
    return (await deps.employees.ofDepartments([params.departmentId])).sort(byRank).map(employeeView)
  },

  async countDepartmentEmployees(deps, { caller, params }) {
    const { department } = await readDepartment(deps, params.departmentId, caller.userId)
    return department.empNum
  },
}

export const departmentRoutes = bindHandlers(departments, handlers)
