import { employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { hideCompany } from '../directory/hide-company.ts'
import { removeFrom } from './remove-employees.ts'

/** A user was deleted: their own companies are, too, and they leave the others. */
export async function removeFromCompanies(deps: Deps, userId: number): Promise<void> {
  const { companies, employees, outbox } = deps
  for (const { companyId } of await employees.everywhere([userId]))
    await outbox.commit(async (change) => {
      const company = await companies.lock(companyId, change)
      const own = company && (await employees.ofUser(companyId, userId, change))
      if (!own) return
      if (own.role === employeeRoles.creator) await hideCompany(deps, company, userId, change)
      else await removeFrom(deps, company, [own], change)
    })
}
