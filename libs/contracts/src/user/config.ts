import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { changingParams, typesOf } from '../fields.ts'
import { Entity, Ignored } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { appConfigFields, changeableConfigFields, configFields } from './config-fields.ts'

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

/** The configuration as the console shows and changes it. */
export const consoleConfig = contract('user', {
  showConfig: {
    path: '/config/set',
    methods: ['GET'],
    summary: { zh: '查看系统配置', en: 'Show the whole configuration' },
    auth: { console: 5 },
    site: 'console',
    safe: true,
    params: Type.Object({}),
    result: Type.Object(typesOf(configFields)),
  },
  setConfig: {
    path: '/config/set',
    methods: ['POST'],
    summary: { zh: '修改系统配置', en: 'Change the configuration' },
    auth: { console: 6 },
    site: 'console',
    page: '/config/set',
    audit: true,
    maxBytes: 1024 * 1024,
    params: Type.Object({ config: Entity(changingParams(changeableConfigFields)) }),
    result: Nothing,
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
