import { ContractError } from '@im/contracts'
import { employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { lockCompany } from '../directory/access.ts'

/** Makes employees managers. Without a company: of the only one the caller made. */
export async function setManagers(
  deps: Deps,
  given: string | undefined,
  callerId: number,
  userIds: readonly number[],
): Promise<void> {
  const { employees, outbox } = deps
  const companyId = given ?? (await onlyCompanyOf(deps, callerId))
  await outbox.commit(async (change) => {
    await lockCompany(deps, companyId, callerId, employeeRoles.creator, change)
    const found = await employees.ofUsers(companyId, userIds, change)
    if (!found.length) throw new ContractError('EmployeeNotFound')
    const promoted = found.filter(({ role }) => role < employeeRoles.manager)
    await employees.setRole(promoted, employeeRoles.manager, change)
  })
}

async function onlyCompanyOf({ companies }: Pick<Deps, 'companies'>, userId: number): Promise<string> {
  const [company, another] = await companies.madeBy(userId, 2)
  if (!company || another) throw new ContractError('MissingParam', { detail: 'companyId' })
  return company._id
}
