import type { Handlers } from '@im/contracts'
import type { presence } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { setOnlineState } from './set-online-state.ts'

export const presenceHandlers: Handlers<typeof presence, Deps> = {
  setOnlineState: (deps, { caller, params, request }) =>
    setOnlineState(deps, { caller, isInternal: request.isInternal }, params.userId, params.OnlineState === 1),
}
