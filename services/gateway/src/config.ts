import {
  ConfigError,
  commonSettings,
  loadConfig,
  natsSettings,
  redisSettings,
  refuseUnsafe,
  setting,
} from '@im/service-kit'
import { type Static, Type } from 'typebox'

const port = (env: string, value: number, description: string) =>
  setting.int({ env, default: value, minimum: 0, maximum: 65535, description })

const owner = (env: string, servicePort: number, service: string) =>
  setting.url({ env, default: `http://127.0.0.1:${servicePort}`, description: `address of the ${service} service` })

/** Settings of the gateway, also the source of docs/configuration.md. */
export const gatewaySettings = Type.Object({
  ...commonSettings,
  ...redisSettings,
  ...natsSettings,
  port: port('PORT', 8092, 'port that apps call'),
  operationsPort: port('OPERATIONS_PORT', 9092, 'port of /metrics, for the operator'),
  operationsHost: setting.text({
    env: 'OPERATIONS_HOST',
    default: '127.0.0.1',
    description: 'address of /metrics; not for outside',
  }),
  userUrl: owner('USER_URL', 8101, 'user'),
  socialUrl: owner('SOCIAL_URL', 8102, 'social'),
  roomUrl: owner('ROOM_URL', 8103, 'room'),
  orgUrl: owner('ORG_URL', 8104, 'org'),
  messageUrl: owner('MESSAGE_URL', 8105, 'message'),
  pushUrl: owner('PUSH_URL', 8106, 'push'),
  ownerTimeoutMs: setting.int({
    env: 'OWNER_TIMEOUT_MS',
    default: 5000,
    minimum: 1,
    description: 'how long a service may take to answer before the app is told ServiceUnavailable',
  }),
  xmppHttpUrl: setting.url({
    env: 'XMPP_HTTP_URL',
    default: 'http://127.0.0.1:5280',
    description: 'address of BOSH and WebSocket of the XMPP server',
  }),
  trustedProxies: setting.optionalText({
    env: 'TRUSTED_PROXIES',
    description: 'addresses and networks, separated by commas, whose X-Forwarded-For is believed',
  }),
  apiKey: setting.optionalText({
    env: 'API_KEY',
    secret: true,
    description: 'key of request signatures, as built into the apps',
  }),
  requireSignature: setting.flag({
    env: 'REQUIRE_SIGNATURE',
    default: false,
    description: 'calls with a token must be signed with API_KEY',
  }),
})

export type GatewayConfig = Static<typeof gatewaySettings>

export function readConfig(env: NodeJS.ProcessEnv): GatewayConfig {
  const config = loadConfig(gatewaySettings, env)
  refuseUnsafe(config)
  if (config.requireSignature && !config.apiKey) throw new ConfigError(['REQUIRE_SIGNATURE needs API_KEY'])
  return config
}
