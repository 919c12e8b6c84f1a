import type { Handlers } from '@im/contracts'
import type { xmppChecks } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { checkMessage } from './check-message.ts'

export const checkHandlers: Handlers<typeof xmppChecks, Deps> = {
  checkMessage: (deps, { params }) => checkMessage(deps, params),
}
