import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { serviceNames as declared, type ServiceName, servicePorts } from '@im/contracts'
import { repositoryRoot } from './machine/machine.ts'
import type { WantedPort } from './machine/ports.ts'

export type { ServiceName }

/** Every service that runs in the stack: those that have a folder, the gateway first. */
export const serviceNames: readonly ServiceName[] = declared.filter((name) =>
  existsSync(join(repositoryRoot, 'services', name, 'src/service.ts')),
)

export type ServicePorts = Record<ServiceName, number>

export const servicePort = (name: ServiceName): WantedPort => ({
  port: servicePorts[name],
  purpose: `the ${name} service`,
  setting: `${name.toUpperCase()}_PORT`,
})

/** The port of the gateway's probes and metrics, apart from the port for apps. */
export const operationsPort: WantedPort = { port: 9092, purpose: 'metrics of the gateway', setting: 'OPERATIONS_PORT' }

/** The port of the Prometheus of `npm start -- --prometheus`. */
export const prometheusPort: WantedPort = { port: 9090, purpose: 'Prometheus', setting: 'PROMETHEUS_PORT' }

export const serviceUrl = (ports: ServicePorts, name: ServiceName) => `http://127.0.0.1:${ports[name]}`

export type ServiceUrls = Record<ServiceName, string>

/** Where each service finds the others. */
export function peerEnv(urls: ServiceUrls): Record<string, string> {
  return Object.fromEntries(serviceNames.map((name) => [`${name.toUpperCase()}_URL`, urls[name]]))
}
