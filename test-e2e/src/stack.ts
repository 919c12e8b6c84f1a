import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ProcessName, type Secrets, type ServerName, type ServiceName, startStack } from '@im/dev'
import type { StackAddresses } from './people.ts'

export interface TestStack extends StackAddresses {
  /** Address of each service, past the gateway. */
  urls: Record<ServiceName, string>
  /** What the services run with, with addresses for a process on this machine. */
  env: Record<string, string>
  secrets: Secrets
  /** kill -9 of its process. It stays down until `restart`. Services that are not `apart` are one process. */
  kill(name: ProcessName | ServerName): Promise<void>
  /** Ends it in order. It stays down until `restart`. */
  stop(name: ProcessName | ServerName): Promise<void>
  restart(name: ProcessName | ServerName): Promise<void>
  /** What a server of local processes keeps; only while it is down. */
  folder(name: ServerName): Promise<string>
  /** All that services and servers wrote into their logs. */
  logs(): Promise<string>
  close(): Promise<void>
}

export interface TestStackOptions {
  /** Services with a process of their own: those that are killed. Containers are always one for each. */
  apart?: 'all' | readonly ServiceName[]
  /** Of local processes: how many XMPP servers, and replicas of services. */
  xmppServers?: number
  replicas?: Partial<Record<ServiceName, number>>
  env?: Record<string, string>
}

/** Hashes of passwords as production makes them would be half of the work of some journeys. */
const quickHashes = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }

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
  return {
    urls: stack.urls,
    env: stack.env,
    secrets: stack.secrets,
    gatewayUrl: stack.urls.gateway,
    xmppPort: Number(stack.env['XMPP_PORT']),
    xmppDomain: stack.env['XMPP_DOMAIN'] ?? '',
    kill: (name) => stack.kill(name, 'SIGKILL'),
    stop: (name) => stack.kill(name, 'SIGTERM'),
    restart: (name) => stack.restart(name),
    async folder(name) {
      // MongoDB's own name, or that of its stand-in.
      const names = await readdir(dataDir)
      return join(dataDir, name === 'mongodb' && !names.includes(name) ? 'secantusdb' : name)
    },
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
