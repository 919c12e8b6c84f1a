import type { Handlers, presence } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { setOnlineState } from './set-online-state.ts'

export const presenceHandlers: Handlers<typeof presence, Deps> = {
  setOnlineState: (deps, { caller, params, request }) =>
    setOnlineState(deps, { caller, isInternal: request.isInternal }, params.userId, params.OnlineState === 1),
}
