import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { getContainerRuntimeClient, type StartedNetwork } from 'testcontainers'

/**
 * Settings as containers of the network must see them: servers that tests run on loopback (an SMS webhook) get a door on
 * the network's gateway address. That is this machine where the engine runs on it.
 */
export async function reachThisMachine(
  network: StartedNetwork,
  settings: Record<string, string>,
): Promise<{ settings: Record<string, string>; close(): void }> {
  const doors: Server[] = []
  const seen = { ...settings }
  for (const [name, value] of Object.entries(settings)) {
    const port = /^\w+:\/\/127\.0\.0\.1:(\d+)/.exec(value)?.[1]
    if (!port) continue
    const gateway = await gatewayOf(network)
    const door = createServer((socket) => {
      const inner = connect(Number(port), '127.0.0.1')
      pipeline(socket, inner, socket).catch(() => {})
    }).listen(0, gateway)
    await once(door, 'listening')
    doors.push(door)
    seen[name] = value.replace(`127.0.0.1:${port}`, `${gateway}:${(door.address() as AddressInfo).port}`)
  }
  return {
    settings: seen,
    close: () => {
      for (const door of doors) door.close()
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
