import { employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { lockCompany } from '../directory/access.ts'
import { hideCompany } from '../directory/hide-company.ts'

/** Hides a company from everybody. Nothing of it is removed. */
export async function deleteCompany(deps: Deps, companyId: string, callerId: number): Promise<void> {
  await deps.outbox.commit(async (change) => {
    const { company } = await lockCompany(deps, companyId, callerId, employeeRoles.creator, change)
    await hideCompany(deps, company, callerId, change)
  })
}
