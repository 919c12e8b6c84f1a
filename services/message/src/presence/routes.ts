import type { Handlers } from '@im/contracts'
import { presence } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { setOnlineState } from './set-online-state.ts'

const handlers: Handlers<typeof presence, Deps> = {
  setOnlineState: (deps, { caller, params, request }) =>
    setOnlineState(deps, { caller, isInternal: request.isInternal }, params.userId, params.OnlineState === 1),
}

export const presenceRoutes = bindHandlers(presence, handlers)
