import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { getContainerRuntimeClient, type StartedNetwork, type StartedTestContainer } from 'testcontainers'

/** Ports of servers that tests run on loopback (an SMS webhook, push providers), found in settings. */
export const loopbackPorts = (settings: Iterable<string>): number[] => [
  ...new Set(
    [...settings].flatMap((value) => [...value.matchAll(/\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))),
  ),
]

export interface ThisMachine {
  /** Makes the ports answer at 127.0.0.1 in a container that has Node, until it ends. */
  lead(container: StartedTestContainer): Promise<void>
  close(): void
}

/** Runs in a container: what comes to its loopback goes to the doors. Without types, because Node takes it from the command line. */
const forwarder = `
const { connect, createServer } = require('node:net')
const { pipeline } = require('node:stream/promises')
const doors = JSON.parse(process.argv[1])
const opened = doors.map(({ port, door }) => new Promise((resolve, reject) => {
  createServer((socket) => {
    const inner = connect(door.port, door.host)
    pipeline(socket, inner, socket).catch(() => {})
  }).on('error', reject).listen(port, '127.0.0.1', resolve)
}))
Promise.all(opened).then(() => console.log('opened'))
`

/**
 * Servers of this machine's loopback at the loopback of containers, so that addresses, certificates and what is signed for an
 * address are the same as for local processes. Each port has a door at the network's gateway address, which is this machine
 * where the engine runs on it.
 */
export async function reachThisMachine(network: StartedNetwork, ports: readonly number[]): Promise<ThisMachine> {
  const servers: Server[] = []
  const doors: { port: number; door: { host: string; port: number } }[] = []
  const host = ports.length ? await gatewayOf(network) : ''
  for (const port of ports) {
    const server = createServer((socket) => {
      const inner = connect(port, '127.0.0.1')
      pipeline(socket, inner, socket).catch(() => {})
    }).listen(0, host)
    await once(server, 'listening')
    servers.push(server)
    doors.push({ port, door: { host, port: (server.address() as AddressInfo).port } })
  }
  return {
    async lead(container) {
      if (doors.length === 0) return
      const { container: containers } = await getContainerRuntimeClient()
      const execution = await containers.getById(container.getId()).exec({
        ...{ Cmd: ['node', '-e', forwarder, JSON.stringify(doors)], AttachStdout: true, AttachStderr: true, Tty: true },
      })
      const output = await execution.start({ Tty: true })
      const [said] = (await once(output, 'data', { signal: AbortSignal.timeout(30_000) })) as [Buffer]
      output.destroy()
      if (!said.toString().startsWith('opened'))
        throw new Error(`${container.getName()} can't reach this machine: ${said}`)
    },
    close() {
      for (const server of servers) server.close()
    },
  }
}

async function gatewayOf(network: StartedNetwork): Promise<string> {
  const client = await getContainerRuntimeClient()
  const { IPAM } = await client.network.getById(network.getId()).inspect()
  const gateway = IPAM?.Config?.[0]?.Gateway
  if (!gateway) throw new Error(`the network ${network.getName()} has no gateway`)
  return gateway
}
