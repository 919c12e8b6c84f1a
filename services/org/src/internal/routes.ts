import type { Handlers } from '@im/contracts'
import { internalOrg } from '@im/contracts/org'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { findColleagues, listCompaniesOf } from './employments.ts'

const handlers: Handlers<typeof internalOrg, Deps> = {
  findColleagues: async (deps, { params }) => ({ colleagues: await findColleagues(deps, params.pairs) }),
  listCompaniesOf: async (deps, { params }) => ({ employments: await listCompaniesOf(deps, params.userIds) }),
}

export const internalRoutes = bindHandlers(internalOrg, handlers)
