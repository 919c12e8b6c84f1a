import { type ServiceName, serviceNames } from '@im/contracts'
import { type ConfigOf, peerUrl, setting } from '@im/service-kit'
import { trustedProxies } from './trusted-proxies.ts'

/** A service behind the gateway. */
export type PeerName = Exclude<ServiceName, 'gateway'>

const peerNames = serviceNames.filter((name): name is PeerName => name !== 'gateway')

const peerUrls = Object.fromEntries(peerNames.map((name) => [`${name}Url`, peerUrl(name)])) as Record<
  `${PeerName}Url`,
  ReturnType<typeof peerUrl>
>

/** Settings of the gateway, also the source of docs/configuration.md. */
export const settings = {
  operationsPort: setting.int({
    env: 'OPERATIONS_PORT',
    default: 9092,
    minimum: 0,
    maximum: 65535,
    description: 'port of the probes and of /metrics, for the operator',
  }),
  operationsHost: setting.text({
    env: 'OPERATIONS_HOST',
    default: '127.0.0.1',
    description: 'address of the probes and of /metrics; not for outside',
  }),
  ...peerUrls,
  serviceTimeoutMs: setting.int({
    env: 'SERVICE_TIMEOUT_MS',
    default: 5000,
    minimum: 1,
    description:
      'how long a service may take to answer, unless the endpoint says otherwise, before the app is told ServiceUnavailable',
  }),
  xmppHttpUrl: setting.text({
    env: 'XMPP_HTTP_URL',
    default: 'http://127.0.0.1:5280',
    pattern: '^http://[^,/]+:\\d+(,\\s*http://[^,/]+:\\d+)*$',
    description:
      'BOSH and WebSocket of the XMPP servers, with their ports, separated by commas; a name stands for all the servers that DNS gives it',
  }),
  trustedProxies: setting.optionalText({
    env: 'TRUSTED_PROXIES',
    production: 'required',
    description:
      'addresses and networks, separated by commas, of the proxies in front of the gateway, whose X-Forwarded-For is believed; `none` without one',
  }),
  maxConnections: setting.int({
    env: 'MAX_CONNECTIONS',
    default: 10_000,
    minimum: 1,
    description: 'connections that are open at once; more are closed unheard',
  }),
  maxConnectionsPerAddress: setting.int({
    env: 'MAX_CONNECTIONS_PER_ADDRESS',
    default: 1000,
    minimum: 1,
    description: 'connections of one address, and never more than are free; trusted proxies excepted',
  }),
  maxXmppPerAddress: setting.int({
    env: 'MAX_XMPP_PER_ADDRESS',
    default: 300,
    minimum: 1,
    description:
      'WebSockets of one address, as many BOSH calls that wait for their answer, and as many new BOSH sessions a minute',
  }),
  consolePage: setting.optionalText({
    env: 'CONSOLE_PAGE',
    description: 'HTML file of the pages below /console and /mp (default: one that says that no pages are installed)',
  }),
  apiPage: setting.choice(['auto', 'on', 'off'], {
    env: 'API_PAGE',
    default: 'auto',
    description: 'the API page below /docs; auto: not in production',
  }),
  apiKey: setting.optionalText({
    env: 'API_KEY',
    secret: true,
    description:
      'key of request signatures, as built into the apps; calls are checked while isAuthApi of the configuration is 1',
  }),
}

export type GatewayConfig = ConfigOf<typeof settings>

export const serviceUrl = (config: GatewayConfig, name: PeerName): string => config[`${name}Url` as const]

export function checkConfig(config: GatewayConfig): string[] {
  const problems: string[] = []
  try {
    trustedProxies(config.trustedProxies)
  } catch (error) {
    problems.push(`TRUSTED_PROXIES: ${(error as Error).message}`)
  }
  return problems
}
