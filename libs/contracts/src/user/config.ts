import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { typesOf } from '../fields.ts'
import { Ignored } from '../param-types.ts'
import { appConfigFields, configFields } from './config-fields.ts'

const { XMPPDomain, XMPPHost, XMPPTimeout } = appConfigFields

/** What apps read at start. Three values have a second spelling. */
export const Config = Type.Object({
  ...typesOf(appConfigFields),
  xMPPDomain: XMPPDomain.type,
  xMPPHost: XMPPHost.type,
  xMPPTimeout: XMPPTimeout.type,
})

export const clientConfig = contract('user', {
  getConfig: {
    path: '/config',
    summary: { zh: '获取服务器配置', en: 'Configuration for apps' },
    auth: 'none',
    safe: true,
    signature: 'none',
    params: Type.Object({ area: Ignored() }),
    result: Config,
  },
})

/** Asked by other services. */
export const internalConfig = contract('user', {
  getServerConfig: {
    path: '/internal/config',
    summary: { zh: '获取完整配置', en: 'The whole configuration' },
    auth: 'internal',
    safe: true,
    params: Type.Object({}),
    result: Type.Object(typesOf(configFields)),
  },
})
