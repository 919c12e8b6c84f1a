import { defaultsOf } from '@im/contracts'
import { configFields, type ServerConfig } from '@im/contracts/user'
import type { UserConfig } from '../config.ts'

const withSlash = (url: string) => (url.endsWith('/') ? url : `${url}/`)

/** The configuration while nothing is stored (spec 01-basic.md). */
export const initialConfig = (env: UserConfig): ServerConfig => ({
  ...defaultsOf(configFields),
  XMPPDomain: env.xmppDomain,
  XMPPHost: env.xmppHost,
  apiUrl: withSlash(env.publicApiUrl),
  uploadUrl: withSlash(env.publicUploadUrl),
  downloadUrl: withSlash(env.publicFileUrl),
  downloadAvatarUrl: withSlash(env.publicAvatarUrl),
})
