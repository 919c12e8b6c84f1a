import { type Ports, portSettings } from './servers/index.ts'
import { type ServicePorts, serviceNames, servicePort } from './services.ts'

/** The ports that the environment sets: GATEWAY_PORT or PORT, MONGODB_PORT, XMPP_PORT and the others of the two tables. */
export function portsFromEnvironment(env: NodeJS.ProcessEnv): Partial<Ports & ServicePorts> {
  const settings = [
    ...Object.entries(portSettings).map(([name, { setting }]) => [name, setting] as const),
    ...serviceNames.map((name) => [name, servicePort(name).setting] as const),
  ]
  const given = settings.flatMap(([name, setting]) => {
    const text = env[setting] || (name === 'gateway' ? env['PORT'] : undefined)
    return text ? [[name, portNumber(setting, text)] as const] : []
  })
  return Object.fromEntries(given)
}

export function portNumber(setting: string, text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`${setting}=${text} is not a port number`)
  return port
}
