import type { Deps } from '../deps.ts'

type EmploymentDeps = Pick<Deps, 'companies' | 'employees'>

/** Where users work, by user and by what they joined first. */
export async function listCompaniesOf({ companies, employees }: EmploymentDeps, userIds: readonly number[]) {
  const found = await employees.everywhere(userIds)
  const live = await companies.byIds([...new Set(found.map(({ companyId }) => companyId))])
  const byId = new Map(live.map((company) => [company._id, company]))
  const employments = found.flatMap(({ userId, companyId, createTime: joinedAt }) => {
    const company = byId.get(companyId)
    if (!company) return []
    const { companyNo, companyName, noticeContent: notice, createTime } = company
    return [{ userId, companyId, companyNo, companyName, notice, createTime, joinedAt }]
  })
  return employments.sort((a, b) => a.userId - b.userId)
}

/** Those of the pairs `<userId>:<userId>` who work for the same company. */
export async function findColleagues(deps: EmploymentDeps, pairs: readonly string[]): Promise<string[]> {
  const users = (pair: string) => pair.split(':').map(Number) as [number, number]
  const employments = await listCompaniesOf(deps, [...new Set(pairs.flatMap(users))])
  const companiesOf = new Map(
    [...Map.groupBy(employments, ({ userId }) => userId)].map(([userId, own]) => [
      userId,
      new Set(own.map(({ companyId }) => companyId)),
    ]),
  )
  return pairs.filter((pair) => {
    const [own, other] = users(pair).map((userId) => companiesOf.get(userId))
    return own && other && !own.isDisjointFrom(other)
  })
}
