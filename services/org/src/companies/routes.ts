import { ContractError, type Handlers } from '@im/contracts'
import { companies } from '@im/contracts/org'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { readCompany } from '../directory/access.ts'
import type { CompanyDocument } from '../directory/company-document.ts'
import { employeeView } from '../employees/employee-view.ts'
import { companyCard, companyViews } from './company-view.ts'
import { createCompany } from './create-company.ts'
import { deleteCompany } from './delete-company.ts'
import { listCompanies, ownCompanies, viewsFor } from './list-companies.ts'
import { quitCompany } from './quit-company.ts'
import { setManagers } from './set-managers.ts'
import { updateCompany } from './update-company.ts'

async function viewOf(deps: Deps, company: CompanyDocument) {
  const [view = companyCard(company)] = await companyViews(deps, [company])
  return view
}

const handlers: Handlers<typeof companies, Deps> = {
  createCompany: async (deps, { caller, params }) =>
    viewOf(deps, await createCompany(deps, caller.userId, params.companyName)),

  listOwnCompanies: async (deps, { caller }) => companyViews(deps, await ownCompanies(deps, caller.userId)),

  async setManagers(deps, { caller, params }) {
    await setManagers(deps, params.companyId, caller.userId, params.managerId)
  },

  async listManagers(deps, { caller, params }) {
    await readCompany(deps, params.companyId, caller.userId)
    return (await deps.employees.managersOf(params.companyId)).map(employeeView)
  },

  updateCompany: async (deps, { caller, params: { companyId, ...wanted } }) =>
    viewOf(deps, await updateCompany(deps, companyId, caller.userId, wanted)),

  changeNotice: async (deps, { caller, params: { companyId, noticeContent } }) =>
    viewOf(deps, await updateCompany(deps, companyId, caller.userId, { noticeContent })),

  async deleteCompany(deps, { caller, params }) {
    await deleteCompany(deps, params.companyId, caller.userId)
  },

  listCompanies: (deps, { caller, params }) => listCompanies(deps, caller.userId, params),

  searchCompanies: (deps, { caller, params: { keyworld: part, ...page } }) =>
    listCompanies(deps, caller.userId, { part, ...page }),

  async getCompany(deps, { caller, params }) {
    const company = await deps.companies.find(params.companyId)
    if (!company) throw new ContractError('CompanyNotFound')
    const [view = companyCard(company)] = await viewsFor(deps, caller.userId, [company])
    return view
  },

  async quitCompany(deps, { caller, params }) {
    await quitCompany(deps, params.companyId, caller.userId)
  },

  async countCompanyEmployees(deps, { caller, params }) {
    const { company } = await readCompany(deps, params.companyId, caller.userId)
    return company.empNum
  },
}

export const companyRoutes = bindHandlers(companies, handlers)
