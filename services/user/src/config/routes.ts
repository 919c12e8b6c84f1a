import type { Handlers } from '@im/contracts'
import { clientConfig } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof clientConfig, Deps> = {
  async getConfig({ serverConfig }) {
    const config = await serverConfig.get()
    const { XMPPDomain: xMPPDomain, XMPPHost: xMPPHost, XMPPTimeout: xMPPTimeout } = config
    return { ...config, xMPPDomain, xMPPHost, xMPPTimeout }
  },
}

export const configRoutes = bindHandlers(clientConfig, handlers)
