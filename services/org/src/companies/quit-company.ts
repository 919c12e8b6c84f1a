import { ContractError } from '@im/contracts'
import { employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { lockCompany } from '../directory/access.ts'
import { hideCompany } from '../directory/hide-company.ts'
import { removeFrom } from '../employees/remove-employees.ts'

/** The caller works for the company no more. A creator can only quit when they are alone, which deletes the company. */
export async function quitCompany(deps: Deps, companyId: string, callerId: number): Promise<void> {
  await deps.outbox.commit(async (change) => {
    const { company, own } = await lockCompany(deps, companyId, callerId, employeeRoles.employee, change)
    if (own.role !== employeeRoles.creator) return await removeFrom(deps, company, [own], change)
    if (company.empNum > 1) throw new ContractError('CreatorProtected')
    await hideCompany(deps, company, callerId, change)
  })
}
