import type { Handlers } from '@im/contracts'
import { xmppChecks } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { checkMessage } from './check-message.ts'

const handlers: Handlers<typeof xmppChecks, Deps> = {
  checkMessage: (deps, { params }) => checkMessage(deps, params),
}

export const checkRoutes = bindHandlers(xmppChecks, handlers)
