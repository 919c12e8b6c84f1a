import type { Handlers } from '@im/contracts'
import { clientConfig, consoleConfig, internalConfig, type ServerConfig } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { changeConfig } from './change-config.ts'
import { checkConfigValues } from './check-config-values.ts'
import { getConfig } from './get-config.ts'

const clientHandlers: Handlers<typeof clientConfig, Deps> = { getConfig }

const consoleHandlers: Handlers<typeof consoleConfig, Deps> = {
  showConfig: ({ serverConfig }) => serverConfig.get(),

  async setConfig(deps, { params, note }) {
    const values = checkConfigValues(params.config as Partial<ServerConfig>)
    const before = await changeConfig(deps, values)
    note({ before, after: Object.fromEntries(Object.keys(before).map((name) => [name, values[name as never]])) })
  },
}

const internalHandlers: Handlers<typeof internalConfig, Deps> = {
  getServerConfig: ({ serverConfig }) => serverConfig.get(),
}

export const configRoutes = [
  ...bindHandlers(clientConfig, clientHandlers),
  ...bindHandlers(consoleConfig, consoleHandlers),
  ...bindHandlers(internalConfig, internalHandlers),
]
