import type { Department, OrgCompany } from '@im/contracts/org'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import type { CompanyDocument } from '../directory/company-document.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'
import type { EmployeeDocument } from '../directory/employees-repository.ts'
import { employeeView } from '../employees/employee-view.ts'

/** Employees that one answer shows, as many as one company may have. */
const mostShown = 50_000
/** What a company counts at least: it may have so many departments. */
const leastCounted = 1000

/** Those of the companies that one answer shows whole. Anybody may be made an employee of any number of large ones. */
export function shownWhole(companies: readonly CompanyDocument[]): CompanyDocument[] {
  let shown = 0
  return companies.filter(({ empNum }) => {
    const counted = Math.max(empNum, leastCounted)
    const fits = shown + counted <= mostShown
    if (fits) shown += counted
    return fits
  })
}

export function departmentView(
  { _id: id, ...department }: DepartmentDocument,
  employees: readonly EmployeeDocument[],
): Static<typeof Department> {
  const { companyId, parentId, departName, createUserId, createTime, empNum, type } = department
  const people = employees.map(employeeView)
  return { id, companyId, parentId, departName, createUserId, createTime, empNum, type, employees: people }
}

/** A company as everybody sees it. */
export function companyCard({ _id: id, ...company }: CompanyDocument): Static<typeof OrgCompany> {
  const { companyName, createUserId, createTime, deleteUserId, deleteTime, noticeTime, type, empNum } = company
  const shown = { id, companyName, createUserId, createTime, deleteUserId, deleteTime, noticeTime, type, empNum }
  return { ...shown, noticeContent: '', rootDpartId: [company.rootDepartmentId], departments: [] }
}

/** Companies as their employees see them, with departments and employees where these are not too many. */
export async function companyViews(
  deps: Pick<Deps, 'departments' | 'employees'>,
  companies: readonly CompanyDocument[],
): Promise<Static<typeof OrgCompany>[]> {
  const views = await departmentViews(
    deps,
    shownWhole(companies).map(({ _id }) => _id),
  )
  const byCompany = Map.groupBy(views, ({ companyId }) => companyId)
  return companies.map((company) => ({
    ...companyCard(company),
    noticeContent: company.noticeContent,
    departments: byCompany.get(company._id) ?? [],
  }))
}

/** Departments of companies with their employees, the oldest first. */
export async function departmentViews(
  { departments, employees }: Pick<Deps, 'departments' | 'employees'>,
  companyIds: readonly string[],
): Promise<Static<typeof Department>[]> {
  if (!companyIds.length) return []
  const [found, people] = await Promise.all([departments.of(companyIds), employees.ofCompanies(companyIds)])
  const byDepartment = Map.groupBy(people, ({ departmentId }) => departmentId)
  return found.map((department) => departmentView(department, byDepartment.get(department._id) ?? []))
}
