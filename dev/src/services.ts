import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { repositoryRoot } from './machine/machine.ts'
import type { WantedPort } from './machine/ports.ts'

/** Every service that runs in the stack, in the order they are listed to a person. The one place to add one. */
const table = {
  gateway: { port: 8092, portSetting: 'GATEWAY_PORT', url: 'GATEWAY_URL' },
  user: { port: 8101, portSetting: 'USER_PORT', url: 'USER_URL' },
  message: { port: 8105, portSetting: 'MESSAGE_PORT', url: 'MESSAGE_URL' },
} as const

export type ServiceName = keyof typeof table
export const serviceNames = Object.keys(table) as ServiceName[]

export type ServicePorts = Record<ServiceName, number>

export const servicePort = (name: ServiceName): WantedPort => ({
  port: table[name].port,
  purpose: `the ${name} service`,
  setting: table[name].portSetting,
})

/** Where the operator reads the gateway's metrics: beside the port that apps may reach. */
export const operationsPort: WantedPort = { port: 9092, purpose: 'metrics of the gateway', setting: 'OPERATIONS_PORT' }

export const serviceUrl = (ports: ServicePorts, name: ServiceName) => `http://127.0.0.1:${ports[name]}`

/** Where each service finds the others. */
export function peerEnv(ports: ServicePorts): Record<string, string> {
  return Object.fromEntries(serviceNames.map((name) => [table[name].url, serviceUrl(ports, name)]))
}

interface RunningService {
  url: string
  close(): Promise<void>
}

export const mainFile = (name: ServiceName) => join(repositoryRoot, 'services', name, 'src/main.ts')

/** The same start function that the service's own main.ts calls. */
export async function startService(name: ServiceName, env: NodeJS.ProcessEnv): Promise<RunningService> {
  const file = join(repositoryRoot, 'services', name, 'src/start.ts')
  const { start } = (await import(pathToFileURL(file).href)) as {
    start(env: NodeJS.ProcessEnv): Promise<RunningService>
  }
  return start(env)
}
