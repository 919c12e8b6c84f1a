import { ContractError } from '@im/contracts'
import type { EmployeeRole } from '@im/contracts/org'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { type Access, lockCompany, readCompany } from './access.ts'
import type { DepartmentDocument } from './departments-repository.ts'

type FindDeps = Pick<Deps, 'companies' | 'departments' | 'employees'>

export interface DepartmentAccess extends Access {
  department: DepartmentDocument
}

/** A department, to be read by an employee of its company. */
export async function readDepartment(
  deps: FindDeps,
  departmentId: string,
  callerId: number,
): Promise<DepartmentAccess> {
  const department = await deps.departments.find(departmentId)
  if (!department) throw new ContractError('DepartmentNotFound')
  const access = await readCompany(deps, department.companyId, callerId).catch(asDepartmentError)
  return { ...access, department }
}

/** A department, to be changed by an employee with at least this role. */
export async function lockDepartment(
  deps: FindDeps,
  departmentId: string,
  callerId: number,
  role: EmployeeRole,
  change: Change,
): Promise<DepartmentAccess> {
  const known = await deps.departments.find(departmentId, change)
  if (!known) throw new ContractError('DepartmentNotFound')
  const access = await lockCompany(deps, known.companyId, callerId, role, change).catch(asDepartmentError)
  return { ...access, department: known }
}

/** Departments of a deleted company are gone, too. */
function asDepartmentError(error: unknown): never {
  if (error instanceof ContractError && error.errorName === 'CompanyNotFound')
    throw new ContractError('DepartmentNotFound')
  throw error
}
