import { pickFields } from '@im/contracts'
import { appConfigFields, type Config } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'

/** Returns the part of the configuration that apps read at start. */
export async function getConfig({ serverConfig }: Pick<Deps, 'serverConfig'>): Promise<Static<typeof Config>> {
  const config = pickFields(appConfigFields, await serverConfig.get())
  const { XMPPDomain: xMPPDomain, XMPPHost: xMPPHost, XMPPTimeout: xMPPTimeout } = config
  // Apps read it as JSON when it is there.
  const popularAPP = config.popularAPP || undefined
  return { ...config, popularAPP, xMPPDomain, xMPPHost, xMPPTimeout }
}
