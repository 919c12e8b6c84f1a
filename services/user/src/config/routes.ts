import type { Handlers } from '@im/contracts'
import { clientConfig } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { getConfig } from './get-config.ts'

const handlers: Handlers<typeof clientConfig, Deps> = { getConfig }

export const configRoutes = bindHandlers(clientConfig, handlers)
