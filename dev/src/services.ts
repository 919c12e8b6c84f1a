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
