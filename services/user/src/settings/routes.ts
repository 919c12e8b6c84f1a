import type { Handlers } from '@im/contracts'
import { userSettings } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { getSettings } from './get-settings.ts'
import { updateSettings } from './update-settings.ts'

const handlers: Handlers<typeof userSettings, Deps> = {
  getSettings: (deps, { caller, params }) => getSettings(deps, caller.userId, params.userId ?? caller.userId),

  async updateSettings(deps, { caller, params: { userId: _own, ...wanted } }) {
    await updateSettings(deps, caller.userId, wanted)
  },
}

export const settingsRoutes = bindHandlers(userSettings, handlers)
