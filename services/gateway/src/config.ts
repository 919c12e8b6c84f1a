import { type ConfigOf, peerUrl, setting } from '@im/service-kit'

/** Settings of the gateway, also the source of docs/configuration.md. */
export const settings = {
  operationsPort: setting.int({
    env: 'OPERATIONS_PORT',
    default: 9092,
    minimum: 0,
    maximum: 65535,
    description: 'port of /metrics, for the operator',
  }),
  operationsHost: setting.text({
    env: 'OPERATIONS_HOST',
    default: '127.0.0.1',
    description: 'address of /metrics; not for outside',
  }),
  userUrl: peerUrl('user'),
  socialUrl: peerUrl('social'),
  roomUrl: peerUrl('room'),
  orgUrl: peerUrl('org'),
  messageUrl: peerUrl('message'),
  pushUrl: peerUrl('push'),
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
}

export type GatewayConfig = ConfigOf<typeof settings>

export function checkConfig({ requireSignature, apiKey }: GatewayConfig): string[] {
  return requireSignature && !apiKey ? ['REQUIRE_SIGNATURE needs API_KEY'] : []
}
