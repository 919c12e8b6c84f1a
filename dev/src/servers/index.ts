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
import { s3 } from './s3.ts'
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

const allServers: Server[] = [mongodb, redis, nats, prosody, s3]

export interface ServersOptions {
  /** Everything they keep, their logs and the records of their processes. One run at a time. */
  dataDir: string
  /** 'free': any that are; otherwise the standard ones of `portSettings` with these changes. */
  ports: 'free' | Partial<Ports>
  /** Addresses of servers that run already, where to look for programs, and settings of Prosody (USER_URL …). */
  env: NodeJS.ProcessEnv
  /** Default: mongodb, redis, nats. Prosody calls the services, so who starts it names their addresses in `env`. */
  servers?: readonly ServerName[]
  /** How many XMPP servers, each with a name, ports and a data folder of its own. Default 1. */
  xmppServers?: number
  /** Start a server again when it dies. Default true. */
  supervise?: boolean
  /** Acknowledged writes may be lost when a server is killed: waiting for the disk costs tests half of the database's time. */
  areVolatile?: boolean
  report?: Reporter
  /** Ends a start that is under way. */
  abort?: AbortSignal
  /** Gets `Servers.env` before they answer, when it is known where they will. */
  onAddresses?: (env: Record<string, string>) => Promise<void>
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
    const instances = await planInstances(options, chosen, env)
    const published: Record<string, string> = { ...secret }
    for (const { given } of chosen.values()) Object.assign(published, given)
    for (const { server, place } of instances) publish(published, server.env(place))
    await options.onAddresses?.(published)

    const starts = await Promise.allSettled(
      instances.map(async ({ name, title, launch, place }) => {
        await mkdir(place.folder, { recursive: true })
        const process = new SupervisedProcess({
          ...launch(place),
          name,
          title,
          logFile: join(dataDir, 'logs', `${name}.log`),
          records,
          report,
          supervise,
          ...(abort ? { abort } : {}),
        })
        processes.set(name, process)
        report.progress(`starting ${title}`)
        await process.start()
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

/** A server that we start; of several XMPP servers each is one. */
interface Instance {
  name: ServerName
  title: string
  server: Server
  launch: NonNullable<Choice['launch']>
  place: Place
}

async function planInstances(
  { dataDir, ports: wish, alsoPorts = [], xmppServers = 1, areVolatile = false }: ServersOptions,
  chosen: Map<Server, Choice>,
  env: NodeJS.ProcessEnv,
): Promise<Instance[]> {
  const instances: Instance[] = []
  const wanted: WantedPort[] = [...alsoPorts]
  for (const [server, { launch, folder = server.name }] of chosen) {
    if (!launch) continue
    for (let number = 1; number <= (server === prosody ? xmppServers : 1); number++) {
      const ports = await assignPorts(wish, server, number)
      wanted.push(...server.ports.map((name) => ({ ...portSettings[name], port: ports[name] })))
      const suffix = number > 1 ? `-${number}` : ''
      instances.push({
        name: `${server.name}${suffix}` as ServerName,
        title: `${server.title}${suffix}`,
        server,
        launch,
        place: {
          folder: join(dataDir, `${folder}${suffix}`),
          ports,
          isVolatile: areVolatile,
          env: server === prosody && number > 1 ? { ...env, XMPP_SERVER_NAME: `xmpp-${number}` } : env,
        },
      })
    }
  }
  if (wish !== 'free') await requirePorts(wanted)
  return instances
}

/** The standard ports of a server and those of the others; each further one of its kind has them ten higher. */
async function assignPorts(wish: ServersOptions['ports'], server: Server, number: number): Promise<Ports> {
  const names = Object.keys(portSettings) as PortName[]
  const entries = names.map(async (name) => {
    const standard = (wish !== 'free' && wish[name]) || portSettings[name].port
    const isOurs = server.ports.includes(name)
    return [name, wish === 'free' && isOurs ? await freePort() : standard + (isOurs ? 10 * (number - 1) : 0)] as const
  })
  return Object.fromEntries(await Promise.all(entries)) as Ports
}

/** Settings that name every XMPP server, by those of one. */
const lists: Record<string, string> = {
  XMPP_COMPONENT_URL: 'XMPP_COMPONENT_URL',
  XMPP_HTTP_URL: 'XMPP_HTTP_URL',
  XMPP_PORT: 'XMPP_PORTS',
}

/** Adds what services need to know of a server. Of several XMPP servers: the first as ever, and lists of them all. */
function publish(published: Record<string, string>, env: Record<string, string>): void {
  for (const [name, value] of Object.entries(env)) {
    const list = lists[name]
    const before = list && published[list]
    if (list) published[list] = before ? `${before},${value}` : value
    published[name] ??= value
  }
}
