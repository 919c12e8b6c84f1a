import { ContractError, type Handlers } from '@im/contracts'
import { internalReports, reports } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { report } from './report.ts'

const handlers: Handlers<typeof reports, Deps> = {
  async report(deps, { caller, params, deadline, signal }) {
    await report(deps, caller.userId, params, { deadline, signal })
  },

  async checkLink({ blockedLinks }, { params }) {
    if (await blockedLinks.isBlocked(params.webUrl)) throw new ContractError('LinkExpired')
  },
}

const internalHandlers: Handlers<typeof internalReports, Deps> = {
  async blockLink({ blockedLinks }, { params: { webUrl, blocked } }) {
    await (blocked ? blockedLinks.block(webUrl) : blockedLinks.allow(webUrl))
  },
}

export const reportRoutes = [...bindHandlers(reports, handlers), ...bindHandlers(internalReports, internalHandlers)]
