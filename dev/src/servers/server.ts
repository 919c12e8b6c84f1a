import type { Machine } from '../machine/machine.ts'
import type { WantedPort } from '../machine/ports.ts'
import type { Launch } from '../machine/supervised-process.ts'

/** Of several XMPP servers the second is `prosody-2`. */
export type ServerName = 'mongodb' | 'redis' | 'nats' | 'prosody' | 's3' | `prosody-${number}`
export type PortName = 'mongodb' | 'redis' | 'nats' | 'xmpp' | 'xmppHttp' | 'xmppComponent' | 's3'
export type Ports = Record<PortName, number>

/** Where a server of ours lives: its own folder below the data folder, and its ports. */
export interface Place {
  folder: string
  ports: Ports
  /** The environment of the server itself (Prosody). */
  env: NodeJS.ProcessEnv
  /** Nobody kills it and reads on: acknowledged writes need not be on the disk. */
  isVolatile?: boolean
}

/** A source of a server that works on this machine. */
export interface Choice {
  /** 'Redis 7.0.15 from /usr/bin/redis-server'; printed after the server's name. */
  what: string
  why: string
  /** How services reach it: given by the environment, or known when it is launched. */
  given?: Record<string, string>
  /** Folder below the data folder, where servers that can't read each other's files must not share one. */
  folder?: string
  launch?(place: Place): Launch
}

/** A source that does not work here, and why. */
export interface NotHere {
  not: string
}

export interface Server {
  name: ServerName
  title: string
  ports: PortName[]
  /** Finds (or installs) it, in the order of the ways; throws one error that says what to install. */
  choose(machine: Machine, dataDir: string): Promise<Choice>
  /** Environment of services that use the launched server. */
  env(place: Place): Record<string, string>
}

/** The ports of a developer's stack. Those of data servers are not the usual ones, which may be in use. */
export const portSettings: Record<PortName, WantedPort> = {
  mongodb: { port: 27_027, purpose: 'MongoDB', setting: 'MONGODB_PORT' },
  redis: { port: 6389, purpose: 'Redis', setting: 'REDIS_PORT' },
  nats: { port: 4232, purpose: 'NATS', setting: 'NATS_PORT' },
  xmpp: { port: 5222, purpose: 'XMPP', setting: 'XMPP_PORT' },
  xmppHttp: { port: 5280, purpose: 'BOSH and XMPP over WebSocket', setting: 'XMPP_HTTP_PORT' },
  xmppComponent: { port: 5347, purpose: 'the XMPP component', setting: 'XMPP_COMPONENT_PORT' },
  s3: { port: 7070, purpose: 'the S3-compatible server of tests', setting: 'S3_PORT' },
}

/** Returns the first source that works. If none does, throws an error with each reason that says what to install. */
export async function firstWay(
  title: string,
  ways: (() => Promise<Choice | NotHere>)[],
  install: string,
): Promise<Choice> {
  const reasons: string[] = []
  for (const way of ways) {
    const result = await way()
    if (!('not' in result)) return result
    reasons.push(result.not)
  }
  throw new Error(`${title} is needed and was not found: ${reasons.join('; ')}.\n${install}`)
}

/** A program on PATH, after an installation by apt where we are root; `packages` of Debian. */
export async function findOrInstall(
  machine: Machine,
  command: string,
  packages: string[],
): Promise<{ path: string; why: string } | NotHere> {
  const onPath = await machine.find(command)
  if (onPath) return { path: onPath, why: 'found on PATH' }
  if (!(await machine.apt.available())) return { not: `no ${command} on PATH, and no apt-get or not root` }
  try {
    await machine.apt.install(packages, machine.report)
  } catch (cause) {
    return { not: `apt-get could not install ${packages.join(', ')} (${firstLine(cause)})` }
  }
  const installed = await machine.find(command)
  return installed ? { path: installed, why: 'just installed with apt-get' } : { not: `apt-get gave no ${command}` }
}

export function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? ''
}
