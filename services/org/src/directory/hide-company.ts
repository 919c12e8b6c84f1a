import { employeesLeft } from '@im/contracts/org'
import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { CompanyDocument } from './company-document.ts'

/** Events have a size limit. */
const toldAtOnce = 5000

/** Takes a company from everybody, who are told. Nothing of it is removed. */
export async function hideCompany(
  { companies, employees, now }: Pick<Deps, 'companies' | 'employees' | 'now'>,
  company: CompanyDocument,
  callerId: number,
  change: Change,
): Promise<void> {
  const { _id: companyId, companyName, createUserId } = company
  const people = await employees.ofCompanies([companyId], change)
  await companies.remove(companyId, callerId, Math.floor(now() / 1000), change)
  await companies.freeName(companyName, change)
  await companies.countDeleted(createUserId, change)
  announceLeft(
    company,
    people.map(({ userId }) => userId),
    now(),
    change,
  )
}

export function announceLeft(company: CompanyDocument, userIds: readonly number[], at: number, change: Change): void {
  const { _id: companyId, companyNo, companyName } = company
  for (let from = 0; from < userIds.length; from += toldAtOnce) {
    const told = userIds.slice(from, from + toldAtOnce)
    change.announce(employeesLeft, companyId, { companyId, companyNo, companyName, at, userIds: told })
  }
}
