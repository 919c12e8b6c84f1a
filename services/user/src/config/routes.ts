import type { Handlers } from '@im/contracts'
import { clientConfig, internalConfig } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { getConfig } from './get-config.ts'

const clientHandlers: Handlers<typeof clientConfig, Deps> = { getConfig }

const internalHandlers: Handlers<typeof internalConfig, Deps> = {
  getServerConfig: ({ serverConfig }) => serverConfig.get(),
}

export const configRoutes = [
  ...bindHandlers(clientConfig, clientHandlers),
  ...bindHandlers(internalConfig, internalHandlers),
]
