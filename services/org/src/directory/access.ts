import { ContractError } from '@im/contracts'
import { type EmployeeRole, employeeRoles } from '@im/contracts/org'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { CompanyDocument } from './company-document.ts'
import type { EmployeeDocument } from './employees-repository.ts'

type AccessDeps = Pick<Deps, 'companies' | 'employees'>

/** A company, and who acts in it. */
export interface Access {
  company: CompanyDocument
  own: EmployeeDocument
}

/** To be read by an employee. Throws CompanyNotFound, and NotEmployee for others. */
export async function readCompany(deps: AccessDeps, companyId: string, callerId: number): Promise<Access> {
  const [company, own] = await Promise.all([deps.companies.find(companyId), deps.employees.ofUser(companyId, callerId)])
  return accessOf(company, own)
}

/** To be changed by an employee with at least this role; other changes of the company wait for this one. */
export async function lockCompany(
  deps: AccessDeps,
  companyId: string,
  callerId: number,
  role: EmployeeRole,
  change: Change,
): Promise<Access> {
  const company = await deps.companies.lock(companyId, change)
  const access = accessOf(company, company && (await deps.employees.ofUser(companyId, callerId, change)))
  demandRole(access.own, role)
  return access
}

function accessOf(company: CompanyDocument | undefined, own: EmployeeDocument | undefined): Access {
  if (!company) throw new ContractError('CompanyNotFound')
  if (!own) throw new ContractError('NotEmployee')
  return { company, own }
}

export function demandRole(own: EmployeeDocument, role: EmployeeRole): void {
  if (own.role < role) throw new ContractError(role === employeeRoles.creator ? 'CreatorOnly' : 'ManagerOnly')
}
