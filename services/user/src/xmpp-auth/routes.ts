import type { Handlers } from '@im/contracts'
import { xmppAccounts } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { authenticate } from './authenticate.ts'

const handlers: Handlers<typeof xmppAccounts, Deps> = {
  async authenticate(deps, { params, request, signal }) {
    const { userId, password, ip } = params
    return authenticate(deps, { userId, password, ip: ip ?? request.ip, signal })
  },

  async getXmppUser({ users }, { params }) {
    const user = await users.byId(params.userId)
    return { exists: user ? 1 : 0, status: user?.status ?? -1 }
  },
}

export const xmppRoutes = bindHandlers(xmppAccounts, handlers)
