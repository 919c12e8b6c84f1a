import type { OrgCompany } from '@im/contracts/org'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import type { CompanyDocument } from '../directory/company-document.ts'
import { companyCard, companyViews } from './company-view.ts'

type View = Static<typeof OrgCompany>

/** Companies the user works for, the oldest first. */
export async function ownCompanies(deps: Deps, userId: number): Promise<CompanyDocument[]> {
  const employments = await deps.employees.everywhere([userId])
  return await deps.companies.byIds(employments.map(({ companyId }) => companyId))
}

/** All companies, or those with `part` in their name. Only their employees see what is in them. */
export async function listCompanies(
  deps: Deps,
  viewerId: number,
  { part, pageIndex, pageSize }: { part?: string; pageIndex: number; pageSize: number },
): Promise<View[]> {
  const found = await deps.companies.list(part, pageIndex * pageSize, pageSize)
  return await viewsFor(deps, viewerId, found)
}

export async function viewsFor(deps: Deps, viewerId: number, companies: readonly CompanyDocument[]): Promise<View[]> {
  const own = new Set((await deps.employees.everywhere([viewerId])).map(({ companyId }) => companyId))
  const whole = await companyViews(
    deps,
    companies.filter(({ _id }) => own.has(_id)),
  )
  const byId = new Map(whole.map((view) => [view.id, view]))
  return companies.map((company) => byId.get(company._id) ?? companyCard(company))
}
