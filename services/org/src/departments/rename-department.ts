import { ContractError } from '@im/contracts'
import { departmentTypes, employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'
import { lockDepartment } from '../directory/find-department.ts'
import { demandFreeName } from './department-names.ts'

/** Renames a department; the root is renamed with its company. Throws DepartmentNameTaken. */
export async function renameDepartment(
  deps: Deps,
  departmentId: string,
  callerId: number,
  departName: string,
): Promise<DepartmentDocument> {
  const { departments, outbox } = deps
  return await outbox.commit(async (change) => {
    const { company, department } = await lockDepartment(deps, departmentId, callerId, employeeRoles.manager, change)
    if (department.type === departmentTypes.root) throw new ContractError('DepartmentProtected')
    const all = await departments.of([company._id], change)
    demandFreeName(
      all.filter(({ _id }) => _id !== departmentId),
      departName,
    )
    await departments.set(departmentId, { departName }, change)
    return { ...department, departName }
  })
}
