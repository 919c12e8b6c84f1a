import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Machine, thisMachine } from '../machine/machine.ts'
import { freePort, requirePorts, type WantedPort } from '../machine/ports.ts'
import { claimFolder, releaseFolder } from '../machine/process-records.ts'
import { SupervisedProcess } from '../machine/supervised-process.ts'
import { type Reporter, silentReporter } from '../reporter.ts'
import { mongodb } from './mongodb.ts'
import { nats } from './nats.ts'
import { prosody } from './prosody.ts'
import { redis } from './redis.ts'
import {
  type Choice,
  type Place,
  type PortName,
  type Ports,
  portSettings,
  type Server,
  type ServerName,
} from './server.ts'

export type { PortName, Ports, ServerName } from './server.ts'
export { portSettings } from './server.ts'

const allServers: Server[] = [mongodb, redis, nats, prosody]

export interface ServersOptions {
  /** Everything they keep, their logs and the records of their processes. One run at a time. */
  dataDir: string
  /** 'free': any that are; otherwise the standard ones of `portSettings` with these changes. */
  ports: 'free' | Partial<Ports>
  /** Addresses of servers that run already, where to look for programs, and what Prosody is told (USER_URL …). */
  env: NodeJS.ProcessEnv
  /** Default: mongodb, redis, nats. Prosody calls the services, so who starts it names their addresses in `env`. */
  servers?: readonly ServerName[]
  /** Start a server again when it dies. Default true. */
  supervise?: boolean
  report?: Reporter
  /** Ends a start that is under way. */
  abort?: AbortSignal
  /** Further ports that the caller needs. If taken, they are named in the same error. */
  alsoPorts?: WantedPort[]
  /** For tests: another machine than this one. */
  machine?: Machine
}

export interface Servers {
  /** What services need to know: MONGODB_URL, REDIS_URL, NATS_URL, XMPP_…, as in the environment's table. */
  env: Record<string, string>
  /** Which server was taken and why, one line each. */
  choices: Record<string, string>
  /** Servers that we started ourselves; others can be neither killed nor restarted. */
  started: ServerName[]
  process(name: ServerName): { pid: number | undefined }
  /** Resolves when the process is gone. It stays down until `restart`, supervised or not. */
  kill(name: ServerName, signal?: NodeJS.Signals): Promise<void>
  /** Same data, same ports; resolves when it answers. */
  restart(name: ServerName): Promise<void>
  /** Stops all that we started; the data stays. */
  close(): Promise<void>
  /** At the very end, without waiting. */
  killNow(): void
}

/** Finds or installs the servers, starts those that don't run yet, and waits until they answer. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { dataDir, report = silentReporter, supervise = true, abort } = options
  const wanted = allServers.filter(({ name }) => (options.servers ?? ['mongodb', 'redis', 'nats']).includes(name))
  const secret = wanted.includes(prosody) ? serverSecrets(options.env) : {}
  const env = { ...options.env, ...secret }
  const records = join(dataDir, 'run')
  await mkdir(records, { recursive: true })
  await claimFolder(records, report)

  const processes = new Map<ServerName, SupervisedProcess>()
  const close = async () => {
    await Promise.all([...processes.values()].map((process) => process.stop()))
    await releaseFolder(records)
  }
  try {
    const choosing = choose(wanted, options.machine ?? thisMachine(options.env, report), dataDir)
    const chosen = await unlessAborted(choosing, abort)
    for (const [server, { what, why }] of chosen) report.info(`${server.title} ${what}: ${why}`)
    const ports = await assignPorts(options.ports, chosen, options.alsoPorts ?? [])
    const published: Record<string, string> = { ...secret }

    const starts = await Promise.allSettled(
      [...chosen].map(async ([server, choice]) => {
        Object.assign(published, choice.given)
        if (!choice.launch) return
        const place: Place = { folder: join(dataDir, choice.folder ?? server.name), ports, env }
        await mkdir(place.folder, { recursive: true })
        const process = new SupervisedProcess({
          ...choice.launch(place),
          name: server.name,
          title: server.title,
          logFile: join(dataDir, 'logs', `${server.name}.log`),
          records,
          report,
          supervise,
          ...(abort ? { abort } : {}),
        })
        processes.set(server.name, process)
        report.progress(`starting ${server.title}`)
        await process.start()
        Object.assign(published, server.env(place))
      }),
    )
    throwFailures(starts)

    const ours = (name: ServerName) => {
      const process = processes.get(name)
      if (!process) throw new Error(`${name} was not started here: it runs outside`)
      return process
    }
    return {
      env: published,
      choices: Object.fromEntries([...chosen].map(([server, { what }]) => [server.name, `${server.title} ${what}`])),
      started: [...processes.keys()],
      process: (name) => ({ pid: ours(name).pid }),
      kill: (name, signal = 'SIGKILL') => ours(name).kill(signal),
      restart: (name) => ours(name).restart(),
      close,
      killNow: () => {
        for (const process of processes.values()) process.killNow()
      },
    }
  } catch (cause) {
    await close()
    throw cause
  }
}

/** Finds or installs servers without starting them: for tests that start their own. */
export async function obtainServers(
  names: readonly ServerName[],
  options: Pick<ServersOptions, 'dataDir' | 'env' | 'report'>,
): Promise<void> {
  const wanted = allServers.filter(({ name }) => names.includes(name))
  await choose(wanted, thisMachine(options.env, options.report ?? silentReporter), options.dataDir)
}

/** The environment without addresses of running servers, for a stack that starts its own and may kill them. */
export function withoutGivenServers(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = ['MONGODB_URL', 'REDIS_URL', 'NATS_URL', 'XMPP_COMPONENT_URL', 'XMPP_HOST']
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))
}

/** What Prosody and its peers must agree on, where the caller has not decided. */
function serverSecrets(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    ['SERVICE_KEY', 'XMPP_COMPONENT_SECRET'].map((name) => [name, env[name] || randomBytes(24).toString('hex')]),
  )
}

/** All at the same time; one error that lists every server that can't be had. */
async function choose(servers: Server[], machine: Machine, dataDir: string): Promise<Map<Server, Choice>> {
  const results = await Promise.allSettled(servers.map((server) => server.choose(machine, dataDir)))
  throwFailures(results)
  return new Map(
    results.flatMap((result, index) => {
      const server = servers[index]
      return result.status === 'fulfilled' && server ? [[server, result.value] as const] : []
    }),
  )
}

/** Rejects on abort without waiting for the installation, which can't be stopped; it ends with this process. */
async function unlessAborted<T>(work: Promise<T>, abort: AbortSignal | undefined): Promise<T> {
  if (!abort) return work
  work.catch(() => {})
  abort.throwIfAborted()
  return Promise.race([work, once(abort, 'abort').then(() => Promise.reject(abort.reason))])
}

/** One error with the messages of all. */
function throwFailures(results: PromiseSettledResult<unknown>[]): void {
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []))
  if (failures.length > 0) throw new Error(failures.join('\n\n'))
}

async function assignPorts(
  wish: ServersOptions['ports'],
  chosen: Map<Server, Choice>,
  also: WantedPort[],
): Promise<Ports> {
  const names = [...chosen].flatMap(([server, choice]) => (choice.launch ? server.ports : []))
  const ports = Object.fromEntries(
    Object.entries(portSettings).map(([name, { port }]) => [name, (wish !== 'free' && wish[name as PortName]) || port]),
  ) as Ports
  if (wish === 'free') for (const name of names) ports[name] = await freePort()
  else await requirePorts([...also, ...names.map((name) => ({ ...portSettings[name], port: ports[name] }))])
  return ports
}
