import { join } from 'node:path'
import { freePort, type WantedPort } from './machine/ports.ts'
import { SupervisedProcess } from './machine/supervised-process.ts'
import { type Reporter, silentReporter } from './reporter.ts'
import { loadSecrets, type Secrets } from './secrets.ts'
import { type Ports, type ServerName, type Servers, startServers } from './servers/index.ts'
import { fatalReason } from './service-logs.ts'
import {
  operationsPort,
  peerEnv,
  type ServiceName,
  type ServicePorts,
  type ServiceUrls,
  serviceNames,
  servicePort,
  serviceUrl,
} from './services.ts'
import { portNumber } from './settings.ts'

export { freePort } from './machine/ports.ts'
export { loadSecrets, type Secrets } from './secrets.ts'
export { type ServerName, withoutGivenServers } from './servers/index.ts'
export type { ServiceName } from './services.ts'

/** A service, or a further replica of one. */
export type ProcessName = ServiceName | `${ServiceName}-${number}`

/** A process of a service: where it takes calls and answers probes. */
export interface Replica {
  name: ProcessName
  port: number
  operationsPort: number
}

export interface StackOptions {
  /** Data, logs, secrets and process records. One stack at a time. */
  dataDir: string
  /** 'free': any that are; otherwise the standard ones with these changes. */
  ports: 'free' | Partial<Ports & ServicePorts>
  /** Settings of servers and services, which win over the defaults here. */
  env: NodeJS.ProcessEnv
  /** Default: all. */
  services?: readonly ServiceName[]
  /** Default: all. */
  servers?: readonly ServerName[]
  /** How many XMPP servers. Default 1. */
  xmppServers?: number
  /** How many replicas of services; further ones are `message-2` …, in processes of their own. Default 1. */
  replicas?: Partial<Record<ServiceName, number>>
  /** Gives the address under which others find each service: that of a balancer. By default the first replica's. */
  balance?: (replicas: ReadonlyMap<ServiceName, readonly Replica[]>) => Promise<ServiceUrls>
  /** Services with a process of their own. The others, by default all, share one. */
  apart?: 'all' | readonly ServiceName[]
  /** For a developer's machine: the process of all services takes 100 MB less for some more garbage collection. */
  isFrugal?: boolean
  /** Start a process again when it dies. Default true. */
  supervise?: boolean
  /** As `ServersOptions.areVolatile`. */
  areVolatile?: boolean
  report?: Reporter
  /** Aborts a start: `startStack` rejects when every process has ended. */
  abort?: AbortSignal
  /** Changes where services find the servers: a test puts proxies between them. Gets and gives `Servers.env`. */
  reroute?: (env: Record<string, string>) => Promise<Record<string, string>>
  /** Gets each line that services log. */
  onServiceLog?: (line: string) => void
  /** Shows the steps to a person; `work` gets the reporter of its step. */
  step?: <T>(title: string, work: (report: Reporter) => Promise<T>) => Promise<T>
}

export interface Stack {
  /** Address of each service. Apps use that of the gateway. */
  urls: ServiceUrls
  /** Addresses of `/metrics` by the name of the process: services, replicas, XMPP servers. */
  metrics: Record<string, string>
  /** The environment all services run with: XMPP_PORT, XMPP_DOMAIN, MONGODB_URL, SERVICE_KEY … */
  env: Record<string, string>
  secrets: Secrets
  servers: Servers
  /** The process in which the server or service runs; the same for all services that are not apart. */
  process(name: ProcessName | ServerName): { pid: number | undefined }
  /** Kills that process. Resolves when it has ended; it stays down until `restart`. */
  kill(name: ProcessName | ServerName, signal?: NodeJS.Signals): Promise<void>
  /** Stops it if it runs, and starts it with the same data, ports and settings; resolves when it answers. */
  restart(name: ProcessName | ServerName): Promise<void>
  /** Services finish their work, then the servers stop. The data stays. */
  close(): Promise<void>
  /** At the very end, without waiting. */
  killNow(): void
}

/** Starts everything on this machine: for developers (`npm start`) and for the journeys of test-e2e alike. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, apart = [], isFrugal = false, supervise = true, onServiceLog, abort } = options
  const services = serviceNames.filter((name) => (options.services ?? serviceNames).includes(name))
  const step = options.step ?? ((_title, work) => work(options.report ?? silentReporter))
  // An empty setting counts as not set, as it does for the services.
  const given = Object.fromEntries(Object.entries(options.env).filter(([, value]) => value))
  const secrets = await loadSecrets(join(dataDir, 'secrets.json'), given)
  const ports = await assignServicePorts(options.ports)
  const operations = await assignOperationsPort(options)
  const further = await assignFurtherReplicas(services, options.replicas ?? {})
  const urls = await addresses(services, ports, operations, further, options.balance)
  const settings = {
    // The user service makes this console administrator at its first start, and does not change the account later.
    CONSOLE_ADMIN_TELEPHONE: 'admin',
    ...publicAddresses(urls.gateway),
    FILE_DIRECTORY: join(dataDir, 'files'),
    ...given,
    ...secrets.values,
    ...peerEnv(urls),
    OPERATIONS_PORT: String(operations),
  }

  const env = { ...settings } as Record<string, string>
  const isApart = (name: ServiceName) => apart === 'all' || apart.includes(name)
  const shared = services.filter((name) => !isApart(name))
  const groups = [...services.filter(isApart).map((name) => [name]), ...(shared.length ? [shared] : [])]
  const processes = new Map<ProcessName, SupervisedProcess>()
  const serversAnswer = Promise.withResolvers<void>()
  const starts: Promise<void>[] = []
  const launchServices = (report: Reporter) => {
    const common = { dataDir, report, isFrugal, supervise, onServiceLog, abort, after: serversAnswer.promise }
    for (const names of groups) {
      const process = serviceProcess(names, { ...common, env, ports })
      for (const name of names) processes.set(name, process)
    }
    for (const [service, { name, port, operationsPort }] of further) {
      const own = { env: { ...env, OPERATIONS_PORT: String(operationsPort) }, ports: { ...ports, [service]: port } }
      processes.set(name, serviceProcess([service], { ...common, ...own }, name))
    }
    starts.push(...[...new Set(processes.values())].map((process) => process.start()))
    // The servers may fail first.
    for (const start of starts) start.catch(() => {})
  }
  const stopServices = async () => {
    // The gateway is stopped first, so that the others get no more work.
    await processes.get('gateway')?.stop()
    await Promise.all([...processes.values()].map((process) => process.stop()))
  }

  const servers = await step('Servers', (report) =>
    startServers({
      dataDir,
      ports: options.ports,
      env: settings,
      servers: options.servers ?? ['mongodb', 'redis', 'nats', 'prosody'],
      xmppServers: options.xmppServers ?? 1,
      supervise,
      areVolatile: options.areVolatile ?? false,
      report,
      ...(abort ? { abort } : {}),
      alsoPorts: options.ports === 'free' ? [] : wantedPorts(services, ports, operations),
      onAddresses: async (ofServers) => {
        Object.assign(env, (await options.reroute?.(ofServers)) ?? ofServers)
        launchServices(report)
      },
    }),
  ).catch(async (cause) => {
    await stopServices()
    throw cause
  })
  const close = async () => {
    await stopServices()
    await servers.close()
  }
  serversAnswer.resolve()
  try {
    await step('Services', async (report) => {
      report.progress(`starting ${services.join(', ')}`)
      throwReasons(await Promise.allSettled(starts))
    })
  } catch (cause) {
    await close()
    throw cause
  }

  const metrics = metricsAddresses(services, ports, operations, env['XMPP_HTTP_URL'])
  for (const [, { name, operationsPort }] of further) metrics[name] = `http://127.0.0.1:${operationsPort}/metrics`
  const find = (name: ProcessName | ServerName) => processes.get(name as ProcessName)
  return {
    urls,
    metrics,
    env,
    secrets,
    servers,
    process: (name) => find(name) ?? servers.process(name as ServerName),
    kill: (name, signal = 'SIGKILL') => find(name)?.kill(signal) ?? servers.kill(name as ServerName, signal),
    restart: (name) => find(name)?.restart() ?? servers.restart(name as ServerName),
    close,
    killNow() {
      for (const process of processes.values()) process.killNow()
      servers.killNow()
    },
  }
}

function metricsAddresses(
  services: readonly ServiceName[],
  ports: ServicePorts,
  operations: number,
  xmppHttp = '',
): Record<string, string> {
  const ofServices = services.map((name) => [
    name,
    `${name === 'gateway' ? `http://127.0.0.1:${operations}` : serviceUrl(ports, name)}/metrics`,
  ])
  const ofServers = xmppHttp
    .split(',')
    .filter(Boolean)
    .map((url, index) => [index ? `prosody-${index + 1}` : 'prosody', `${url}/metrics`])
  return Object.fromEntries([...ofServices, ...ofServers])
}

/** Addresses that /config gives to apps, unless the environment sets others. */
function publicAddresses(gateway: string): Record<string, string> {
  const names = ['PUBLIC_API_URL', 'PUBLIC_UPLOAD_URL', 'PUBLIC_FILE_URL', 'PUBLIC_AVATAR_URL']
  return Object.fromEntries(names.map((name) => [name, `${gateway}/`]))
}

async function assignServicePorts(wish: StackOptions['ports']): Promise<ServicePorts> {
  const entries = serviceNames.map(async (name) => {
    const port = wish === 'free' ? await freePort() : (wish[name] ?? servicePort(name).port)
    return [name, port] as const
  })
  return Object.fromEntries(await Promise.all(entries)) as ServicePorts
}

async function assignOperationsPort({ ports, env }: StackOptions): Promise<number> {
  if (ports === 'free') return await freePort()
  const { setting, port } = operationsPort
  return env[setting] ? portNumber(setting, env[setting]) : port
}

/** On any free ports. Probes of the gateway have a port of their own. */
async function assignFurtherReplicas(
  services: readonly ServiceName[],
  wish: Partial<Record<ServiceName, number>>,
): Promise<[ServiceName, Replica][]> {
  const further = services.flatMap((service) =>
    Array.from({ length: (wish[service] ?? 1) - 1 }, (_, index) => [service, `${service}-${index + 2}`] as const),
  )
  return Promise.all(
    further.map(async ([service, name]) => {
      const port = await freePort()
      const operationsPort = service === 'gateway' ? await freePort() : port
      return [service, { name: name as ProcessName, port, operationsPort }]
    }),
  )
}

async function addresses(
  services: readonly ServiceName[],
  ports: ServicePorts,
  operations: number,
  further: readonly [ServiceName, Replica][],
  balance: StackOptions['balance'],
): Promise<ServiceUrls> {
  if (!balance) return Object.fromEntries(serviceNames.map((name) => [name, serviceUrl(ports, name)])) as ServiceUrls
  const replicas = services.map((name): [ServiceName, Replica[]] => {
    const first = { name, port: ports[name], operationsPort: name === 'gateway' ? operations : ports[name] }
    return [name, [first, ...further.flatMap(([service, replica]) => (service === name ? [replica] : []))]]
  })
  return balance(new Map(replicas))
}

function wantedPorts(services: readonly ServiceName[], ports: ServicePorts, operations: number): WantedPort[] {
  const listeners = services.map((name) => ({ ...servicePort(name), port: ports[name] }))
  return services.includes('gateway') ? [...listeners, { ...operationsPort, port: operations }] : listeners
}

/** Of the young generation; by default it has 16 MB. */
const frugal = ['--max-semi-space-size=4']

/** A process that runs these services; the first is ended first. */
function serviceProcess(
  names: readonly ServiceName[],
  options: {
    env: Record<string, string>
    ports: ServicePorts
    dataDir: string
    report: Reporter
    isFrugal: boolean
    supervise: boolean
    onServiceLog: StackOptions['onServiceLog']
    abort: AbortSignal | undefined
    after: Promise<void>
  },
  name: ProcessName | 'services' = names.length === 1 && names[0] ? names[0] : 'services',
): SupervisedProcess {
  const { env, ports, dataDir, report, isFrugal, supervise, onServiceLog, abort, after } = options
  /** Those that have not answered since the process was servers. */
  const awaited = new Set<ServiceName>()
  return new SupervisedProcess({
    name,
    title: name === 'services' ? 'The process of the services' : `The ${name} service`,
    file: process.execPath,
    args: [
      ...(isFrugal ? frugal : []),
      join(import.meta.dirname, 'run-services.ts'),
      ...names.map((each) => `${each}=${ports[each]}`),
    ],
    env: { ...env, LOG_FORMAT: 'json' },
    after,
    prepare: async () => {
      for (const each of names) awaited.add(each)
    },
    ready: async () => {
      for (const each of awaited) {
        await healthy(serviceUrl(ports, each))
        awaited.delete(each)
      }
    },
    stopDeadlineMs: (Number(env['DRAIN_SECONDS']) || 0) * 1000 + (Number(env['SHUTDOWN_SECONDS']) || 15) * 1000 + 2000,
    reason: fatalReason,
    ...(onServiceLog ? { onLog: onServiceLog } : {}),
    ...(abort ? { abort } : {}),
    logFile: join(dataDir, 'logs', `${name}.log`),
    records: join(dataDir, 'run'),
    report,
    supervise,
  })
}

/** One error that says each reason once: services share settings. */
function throwReasons(results: PromiseSettledResult<unknown>[]): void {
  const lines = results.flatMap((result) =>
    result.status === 'rejected' ? (result.reason as Error).message.split('\n') : [],
  )
  if (lines.length > 0) throw new Error([...new Set(lines)].join('\n'))
}

async function healthy(url: string): Promise<void> {
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) })
  if (!response.ok) throw new Error(`${url}/healthz answers ${response.status}`)
}
