import { companyRenamed, employeeRoles } from '@im/contracts/org'
import type { Deps } from '../deps.ts'
import { demandRole, lockCompany } from '../directory/access.ts'
import type { CompanyDocument } from '../directory/company-document.ts'

/** Renames a company, which is the creator's right, or changes its notice. Throws CompanyNameTaken. */
export async function updateCompany(
  deps: Deps,
  companyId: string,
  callerId: number,
  wanted: { companyName?: string | undefined; noticeContent?: string | undefined },
): Promise<CompanyDocument> {
  const { companies, departments, outbox, now } = deps
  const { companyName, noticeContent } = wanted
  return await outbox.commit(async (change) => {
    const { company, own } = await lockCompany(deps, companyId, callerId, employeeRoles.employee, change)
    if (companyName !== undefined) demandRole(own, employeeRoles.creator)
    if (noticeContent !== undefined) demandRole(own, employeeRoles.manager)
    const fields: Partial<CompanyDocument> = {}
    if (companyName !== undefined && companyName !== company.companyName) {
      fields.companyName = companyName
      await companies.freeName(company.companyName, change)
      await companies.claimName(companyName, companyId, change)
      await departments.set(company.rootDepartmentId, { departName: companyName }, change)
      const about = { companyId, companyNo: company.companyNo, companyName, at: now() }
      change.announce(companyRenamed, companyId, about)
    }
    if (noticeContent !== undefined) Object.assign(fields, { noticeContent, noticeTime: Math.floor(now() / 1000) })
    if (Object.keys(fields).length) await companies.set(companyId, fields, change)
    return { ...company, ...fields }
  })
}
