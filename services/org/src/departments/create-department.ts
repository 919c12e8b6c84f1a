import { ContractError } from '@im/contracts'
import { departmentTypes, employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { lockCompany } from '../directory/access.ts'
import { newId } from '../directory/company-document.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'
import { demandFreeName } from './department-names.ts'
import { pathToRoot } from './department-tree.ts'

const mostPerCompany = 1000
const deepest = 50

/** Makes a department below another one. Throws DepartmentNameTaken. */
export async function createDepartment(
  deps: Deps,
  callerId: number,
  wanted: { companyId: string; parentId: string; departName: string },
): Promise<DepartmentDocument> {
  const { departments, outbox, now } = deps
  const { companyId, departName } = wanted
  return await outbox.commit(async (change) => {
    const { company } = await lockCompany(deps, companyId, callerId, employeeRoles.manager, change)
    const { rootDepartmentId } = company
    // Apps that don't show the root name the company instead.
    const parentId = wanted.parentId === companyId ? rootDepartmentId : wanted.parentId
    const all = await departments.of([companyId], change)
    const path = pathToRoot(all, parentId, rootDepartmentId)
    if (!path) throw new ContractError('DepartmentNotFound')
    demandFreeName(all, departName)
    if (all.length >= mostPerCompany || path.length >= deepest)
      throw new ContractError('InvalidParams', { detail: 'departName: the company has too many departments' })
    const department = {
      ...{ _id: newId(), companyId, parentId, departName, createUserId: callerId },
      ...{ createTime: Math.floor(now() / 1000), type: departmentTypes.normal, empNum: 0 },
    }
    await departments.add([department], change)
    return department
  })
}
