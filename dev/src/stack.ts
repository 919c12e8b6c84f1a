import { join } from 'node:path'
import { freePort, type WantedPort } from './machine/ports.ts'
import { SupervisedProcess } from './machine/supervised-process.ts'
import { type Reporter, silentReporter } from './reporter.ts'
import { loadSecrets, type Secrets } from './secrets.ts'
import { type Ports, type ServerName, type Servers, startServers } from './servers/index.ts'
import {
  mainFile,
  operationsPort,
  peerEnv,
  type ServiceName,
  type ServicePorts,
  serviceNames,
  servicePort,
  serviceUrl,
  startService,
} from './services.ts'

export { type ServerName, withoutGivenServers } from './servers/index.ts'
export type { ServiceName } from './services.ts'

export interface StackOptions {
  /** Data, logs, secrets and process records. One stack at a time. */
  dataDir: string
  /** 'free': any that are; otherwise the standard ones with these changes. */
  ports: 'free' | Partial<Ports & ServicePorts>
  /** Settings of servers and services that overrule ours. */
  env: NodeJS.ProcessEnv
  /** Default: all. */
  services?: readonly ServiceName[]
  /** Default: all. */
  servers?: readonly ServerName[]
  /** 'in-process': all services in this process. 'processes': one each, which can be killed and is supervised. */
  mode?: 'in-process' | 'processes'
  /** Start a process again when it dies. Default true. */
  supervise?: boolean
  report?: Reporter
  /** Shows the steps to a person; `work` gets the reporter of its step. */
  step?: <T>(title: string, work: (report: Reporter) => Promise<T>) => Promise<T>
}

export interface Stack {
  /** Address of each service. Apps use that of the gateway. */
  urls: Record<ServiceName, string>
  /** The environment all services run with: XMPP_PORT, XMPP_DOMAIN, MONGODB_URL, SERVICE_KEY … */
  env: Record<string, string>
  secrets: Secrets
  servers: Servers
  process(name: ServiceName | ServerName): { pid: number | undefined }
  /** Resolves when the process is gone; it stays down until `restart`. Services: with mode 'processes' only. */
  kill(name: ServiceName | ServerName, signal?: NodeJS.Signals): Promise<void>
  /** Stops it if it runs, and starts it with the same data, ports and settings; resolves when it answers. */
  restart(name: ServiceName | ServerName): Promise<void>
  /** Services finish their work, then the servers stop. The data stays. */
  close(): Promise<void>
  /** At the very end, without waiting. */
  killNow(): void
}

/** A service, however it runs. */
interface Runner {
  pid: number | undefined
  start(): Promise<void>
  kill(signal: NodeJS.Signals): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
  killNow(): void
}

/** Starts everything on this machine: for developers (`npm start`) and for the journeys of test-e2e alike. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, mode = 'in-process', supervise = true, report: ownReport = silentReporter } = options
  const services = serviceNames.filter((name) => (options.services ?? serviceNames).includes(name))
  const step = options.step ?? ((_title, work) => work(ownReport))
  const secrets = await loadSecrets(join(dataDir, 'secrets.json'), options.env)
  const ports = await assignServicePorts(options.ports)
  const operations =
    options.ports === 'free' ? await freePort() : Number(options.env['OPERATIONS_PORT'] || operationsPort.port)
  const settings = {
    ...seed(options.env, secrets),
    ...options.env,
    ...secrets.values,
    ...peerEnv(ports),
    ...publicAddresses(options.env, serviceUrl(ports, 'gateway')),
    OPERATIONS_PORT: String(operations),
  }

  const servers = await step('Servers', (report) =>
    startServers({
      dataDir,
      ports: options.ports,
      env: settings,
      servers: options.servers ?? ['mongodb', 'redis', 'nats', 'prosody'],
      supervise,
      report,
      alsoPorts: options.ports === 'free' ? [] : wantedPorts(services, ports, operations),
    }),
  )
  const env = { ...settings, ...servers.env } as Record<string, string>
  const runners = new Map<ServiceName, Runner>()
  const close = async () => {
    await Promise.all([...runners.values()].map((runner) => runner.stop().catch(() => {})))
    await servers.close()
  }
  try {
    await step('Services', async (report) => {
      const starts = services.map((name) => {
        const ownEnv = { ...env, PORT: String(ports[name]) }
        const runner =
          mode === 'processes'
            ? ownProcess({ name, env: ownEnv, url: serviceUrl(ports, name), dataDir, report, supervise })
            : inProcess(name, ownEnv)
        runners.set(name, runner)
        report.progress(`starting ${name}`)
        return runner.start()
      })
      const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
    })
  } catch (cause) {
    await close()
    throw cause
  }

  const find = (name: ServiceName | ServerName) => runners.get(name as ServiceName)
  return {
    urls: Object.fromEntries(services.map((name) => [name, serviceUrl(ports, name)])) as Record<ServiceName, string>,
    env,
    secrets,
    servers,
    process: (name) => find(name) ?? servers.process(name as ServerName),
    kill: (name, signal = 'SIGKILL') => find(name)?.kill(signal) ?? servers.kill(name as ServerName, signal),
    restart: (name) => find(name)?.restart() ?? servers.restart(name as ServerName),
    close,
    killNow() {
      for (const runner of runners.values()) runner.killNow()
      servers.killNow()
    },
  }
}

/**
 * What the user service is told to create at its start: the system users always, and this console administrator. It does
 * so once; later starts leave him as he is.
 */
function seed(env: NodeJS.ProcessEnv, secrets: Secrets): Record<string, string> {
  return {
    CONSOLE_ADMIN_TELEPHONE: env['CONSOLE_ADMIN_TELEPHONE'] || 'admin',
    CONSOLE_ADMIN_PASSWORD: secrets.values.CONSOLE_ADMIN_PASSWORD,
  }
}

/** Addresses that apps are told by /config: the gateway's, unless the environment knows better. */
function publicAddresses(env: NodeJS.ProcessEnv, gateway: string): Record<string, string> {
  const names = ['PUBLIC_API_URL', 'PUBLIC_UPLOAD_URL', 'PUBLIC_FILE_URL', 'PUBLIC_AVATAR_URL']
  return Object.fromEntries(names.map((name) => [name, env[name] || `${gateway}/`]))
}

async function assignServicePorts(wish: StackOptions['ports']): Promise<ServicePorts> {
  const entries = serviceNames.map(async (name) => {
    const port = wish === 'free' ? await freePort() : (wish[name] ?? servicePort(name).port)
    return [name, port] as const
  })
  return Object.fromEntries(await Promise.all(entries)) as ServicePorts
}

function wantedPorts(services: readonly ServiceName[], ports: ServicePorts, operations: number): WantedPort[] {
  const listeners = services.map((name) => ({ ...servicePort(name), port: ports[name] }))
  return services.includes('gateway') ? [...listeners, { ...operationsPort, port: operations }] : listeners
}

function ownProcess(options: {
  name: ServiceName
  env: NodeJS.ProcessEnv
  url: string
  dataDir: string
  report: Reporter
  supervise: boolean
}): Runner {
  const { name, env, url, dataDir, report, supervise } = options
  return new SupervisedProcess({
    name,
    file: process.execPath,
    args: [mainFile(name)],
    env,
    ready: async () => {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) })
      if (!response.ok) throw new Error(`/healthz answers ${response.status}`)
    },
    logFile: join(dataDir, 'logs', `${name}.log`),
    records: join(dataDir, 'run'),
    report,
    supervise,
  })
}

function inProcess(name: ServiceName, env: NodeJS.ProcessEnv): Runner {
  let running: { close(): Promise<void> } | undefined
  const start = async () => {
    running = await startService(name, env)
  }
  const stop = async () => {
    const ending = running
    running = undefined
    await ending?.close()
  }
  return {
    pid: process.pid,
    start,
    stop,
    async restart() {
      await stop()
      await start()
    },
    async kill() {
      throw new Error(`${name} runs in this process and can't be killed alone: start the stack with mode 'processes'`)
    },
    killNow() {},
  }
}
