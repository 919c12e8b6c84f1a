import { ContractError } from '@im/contracts'
import { departmentTypes, employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { lockDepartment } from '../directory/find-department.ts'
import { removeFrom } from '../employees/remove-employees.ts'
import { subtreeOf } from './department-tree.ts'

/** Deletes a department, those below it and their employees. Where the creator of the company is, nothing is deleted. */
export async function deleteDepartment(deps: Deps, departmentId: string, callerId: number): Promise<void> {
  const { departments, employees, outbox } = deps
  await outbox.commit(async (change) => {
    const { company, department } = await lockDepartment(deps, departmentId, callerId, employeeRoles.manager, change)
    if (department.type === departmentTypes.root) throw new ContractError('DepartmentProtected')
    const doomed = [...subtreeOf(await departments.of([company._id], change), departmentId)]
    const people = await employees.ofDepartments(doomed, change)
    if (people.some(({ role }) => role === employeeRoles.creator)) throw new ContractError('DepartmentProtected')
    await removeFrom(deps, company, people, change)
    await departments.remove(doomed, change)
  })
}
