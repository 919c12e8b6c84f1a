import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceNames } from '@im/contracts'
import { type ProcessName, type Secrets, type ServerName, type ServiceName, startStack } from '@im/dev'
import type { StackAddresses } from './people.ts'

export interface TestStack extends StackAddresses {
  /** Address of each service, past the gateway. */
  urls: Record<ServiceName, string>
  /** What the services run with, with addresses for a process on this machine. */
  env: Record<string, string>
  secrets: Secrets
  /** One name for each process of services. */
  processes: readonly ProcessName[]
  /** kill -9 of its process. It stays down until `restart`. Services that are not `apart` are one process. */
  kill(name: ProcessName | ServerName): Promise<void>
  /** Ends it in order. It stays down until `restart`. */
  stop(name: ProcessName | ServerName): Promise<void>
  restart(name: ProcessName | ServerName): Promise<void>
  /** Takes from a server all that it keeps. Only while it is down. */
  empty(name: ServerName): Promise<void>
  /** Copies what a server keeps; resolves with what puts it back in place of what is there then. Both only while it is down. */
  save(name: ServerName): Promise<() => Promise<void>>
  /** Names of what is being uploaded: the message service keeps parts of files there. */
  stagedFiles(): Promise<string[]>
  /** All that services and servers wrote into their logs. */
  logs(): Promise<string>
  close(): Promise<void>
}

export interface TestStackOptions {
  /** Services with a process of their own: those that are killed. Containers are always one for each. */
  apart?: 'all' | readonly ServiceName[]
  /** How many XMPP servers, and replicas of services. */
  xmppServers?: number
  replicas?: Partial<Record<ServiceName, number>>
  env?: Record<string, string>
  /** MongoDB or NATS is killed: they wait for the disk. Otherwise they don't, which costs journeys half of the database's time. */
  killsStores?: boolean
  /** Addresses on loopback that services call besides those in `env`. */
  served?: readonly string[]
}

/** Hashes of passwords as production makes them would be half of the work of some journeys. */
export const quickHashes = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }

/** The whole stack with servers of its own on free ports, limits off: local processes, or containers with E2E_SERVERS=containers. */
export async function startTestStack(options: TestStackOptions = {}): Promise<TestStack> {
  if (process.env['E2E_SERVERS'] !== 'containers') return startProcesses(options)
  const { startContainers } = await import('./containers/start-containers.ts')
  return startContainers(options)
}

async function startProcesses(options: TestStackOptions): Promise<TestStack> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-e2e-'))
  // The shared servers of a test run are not for stacks: these get killed.
  const { MONGODB_URL: _m, REDIS_URL: _r, NATS_URL: _n, ...environment } = process.env
  const stack = await startStack({
    dataDir,
    ports: 'free',
    apart: options.apart ?? [],
    xmppServers: options.xmppServers ?? 1,
    replicas: options.replicas ?? {},
    areVolatile: !options.killsStores,
    env: {
      ...environment,
      NODE_ENV: 'test',
      LOG_LEVEL: 'error',
      LIMIT_FACTOR: '0',
      XMPP_TLS: 'off',
      ...quickHashes,
      ...options.env,
    },
  })
  // MongoDB's own name, or that of its stand-in.
  const folderOf = async (name: ServerName) => {
    const names = await readdir(dataDir)
    return join(dataDir, name === 'mongodb' && !names.includes(name) ? 'secantusdb' : name)
  }
  const kill = async (name: ProcessName | ServerName, signal: NodeJS.Signals) => {
    if (!options.killsStores && (name === 'mongodb' || name === 'nats')) throw new Error(`${name} needs killsStores`)
    await stack.kill(name, signal)
  }
  return {
    urls: stack.urls,
    env: stack.env,
    secrets: stack.secrets,
    processes: processesOf(options),
    gatewayUrl: stack.urls.gateway,
    xmppPort: Number(stack.env['XMPP_PORT']),
    xmppDomain: stack.env['XMPP_DOMAIN'] ?? '',
    kill: (name) => kill(name, 'SIGKILL'),
    stop: (name) => kill(name, 'SIGTERM'),
    restart: (name) => stack.restart(name),
    async empty(name) {
      const folder = await folderOf(name)
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder)
    },
    async save(name) {
      const folder = await folderOf(name)
      const copy = `${folder}-saved`
      await cp(folder, copy, { recursive: true })
      return async () => {
        await rm(folder, { recursive: true })
        await cp(copy, folder, { recursive: true })
      }
    },
    stagedFiles: () => readdir(join(stack.env['FILE_DIRECTORY'] ?? '', 'staging')).catch(() => []),
    async logs() {
      const files = (await readdir(join(dataDir, 'logs'))).map((name) => join(dataDir, 'logs', name))
      return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n')
    },
    async close() {
      await stack.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

function processesOf({ apart = [], replicas = {} }: TestStackOptions): ProcessName[] {
  const isApart = (name: ServiceName) => apart === 'all' || apart.includes(name)
  const shared = serviceNames.filter((name) => !isApart(name))
  const further = serviceNames.flatMap((name) =>
    Array.from({ length: (replicas[name] ?? 1) - 1 }, (_, index): ProcessName => `${name}-${index + 2}`),
  )
  return [...shared.slice(0, 1), ...serviceNames.filter(isApart), ...further]
}
