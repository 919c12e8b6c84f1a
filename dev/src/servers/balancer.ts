import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Machine } from '../machine/machine.ts'
import { freePort } from '../machine/ports.ts'
import { SupervisedProcess } from '../machine/supervised-process.ts'
import { findOrInstall } from './server.ts'

/** A server behind the balancer: the port of its connections, and the one where it answers probes. */
export interface BalancedServer {
  port: number
  /** Asked for `/startedz`; without it a connection is enough. */
  probePort?: number
}

export interface Balancer {
  /** The port of each route. */
  ports: Readonly<Record<string, number>>
  /** True when every server takes connections. */
  isWhole(): Promise<boolean>
  close(): Promise<void>
}

/** Starts an HAProxy on loopback that shares connections (TCP) out among servers, as a Service of Kubernetes does. */
export async function startBalancer(options: {
  machine: Machine
  dataDir: string
  name: string
  routes: Readonly<Record<string, readonly BalancedServer[]>>
}): Promise<Balancer> {
  const { machine, dataDir, name, routes } = options
  const found = await findOrInstall(machine, 'haproxy', ['haproxy'])
  if ('not' in found) throw new Error(`haproxy is needed and was not found: ${found.not}`)
  const folder = join(dataDir, name)
  const file = join(folder, 'haproxy.cfg')
  const control = join(folder, 'control')
  const entries = await Promise.all(Object.keys(routes).map(async (route) => [route, await freePort()] as const))
  const ports = Object.fromEntries(entries)
  const process = new SupervisedProcess({
    name,
    title: 'HAProxy',
    file: found.path,
    args: ['-db', '-f', file],
    prepare: async () => {
      await mkdir(folder, { recursive: true })
      await writeFile(file, configuration(control, ports, routes))
    },
    ready: async () => void (await statusOf(control)),
    readyDeadlineMs: 30_000,
    logFile: join(dataDir, 'logs', `${name}.log`),
    records: join(dataDir, 'run'),
    report: machine.report,
    supervise: true,
  })
  await process.start()
  return {
    ports,
    async isWhole() {
      const states = await statusOf(control)
      return states.length > 0 && states.every((state) => state.startsWith('UP'))
    },
    close: () => process.stop(),
  }
}

function configuration(
  control: string,
  ports: Readonly<Record<string, number>>,
  routes: Readonly<Record<string, readonly BalancedServer[]>>,
): string {
  const listeners = Object.entries(routes).map(([route, servers]) => {
    const isProbed = servers.some(({ probePort }) => probePort !== undefined)
    const lines = servers.map(
      ({ port, probePort = port }, index) => `  server ${route}-${index + 1} 127.0.0.1:${port} check port ${probePort}`,
    )
    return [
      `listen ${route}`,
      `  bind 127.0.0.1:${ports[route]}`,
      ...(isProbed ? ['  option httpchk GET /startedz'] : []),
      ...lines,
    ].join('\n')
  })
  return `global
  maxconn 8000
  stats socket ${control} mode 600
defaults
  mode tcp
  balance leastconn
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 2s
  # A server that refuses a connection is passed over at once.
  retries 3
  option redispatch 1
  default-server inter 300ms fall 1 rise 1
${listeners.join('\n')}
`
}

/** The state of each server: UP, DOWN … */
async function statusOf(control: string): Promise<string[]> {
  const socket = connect(control)
  socket.write('show stat\n')
  const [head = '', ...rows] = (await text(socket)).trim().split('\n')
  const names = head.replace(/^# /, '').split(',')
  const column = (row: string, name: string) => row.split(',')[names.indexOf(name)] ?? ''
  return rows
    .filter((row) => !['FRONTEND', 'BACKEND'].includes(column(row, 'svname')))
    .map((row) => column(row, 'status'))
}
