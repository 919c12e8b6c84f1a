import { Network, type StartedTestContainer } from 'testcontainers'
import { freePort } from '../machine/ports.ts'
import { type ComposeService, readCompose } from './compose.ts'
import { ComposeContainer } from './compose-container.ts'

/** Where stores listen inside: the first is for clients. */
export const storePorts: Readonly<Record<string, number[]>> = { mongodb: [27_017], redis: [6379], nats: [4222, 8222] }

/** What `.env` holds for the stores besides the secrets of services. */
export const storeSettings = {
  // SecantusDB is no replica set by the name of the one in compose.yaml.
  MONGODB_URL: 'mongodb://mongodb:27017/?directConnection=true',
  REDIS_PASSWORD: 'redis-password',
  NATS_PASSWORD: '12e5',
}

/** The stores as processes of this machine see them; `address` gives host and port of a port inside. */
export const storeUrls = (address: (store: string, inside: number) => string) => ({
  MONGODB_URL: `mongodb://${address('mongodb', 27_017)}/?directConnection=true`,
  REDIS_URL: `redis://:${storeSettings.REDIS_PASSWORD}@${address('redis', 6379)}`,
  NATS_URL: `nats://im:${storeSettings.NATS_PASSWORD}@${address('nats', 4222)}`,
})

/** For each container its ports inside, and free ones of this machine that lead there. */
export async function choosePorts(
  inside: ReadonlyMap<string, readonly number[]>,
): Promise<Map<string, Record<number, number>>> {
  const chosen = [...inside].map(async ([name, ports]) => {
    const pairs = await Promise.all(ports.map(async (port) => [port, await freePort()] as const))
    return [name, Object.fromEntries(pairs)] as const
  })
  return new Map(await Promise.all(chosen))
}

/** MongoDB, Redis and NATS of compose.yaml, a container each, for tests of services. `name` is a part of the containers' names. */
export async function startStores(name: string): Promise<{ env: Record<string, string>; close(): Promise<void> }> {
  const ofServices = Object.fromEntries(
    ['SERVICE_KEY', 'CALLER_KEY', 'SESSION_PEPPER', 'XMPP_COMPONENT_SECRET'].map((secret) => [secret, 'unused']),
  )
  const isStore = ({ name }: ComposeService) => name in storePorts
  const stores = (await readCompose({ ...ofServices, ...storeSettings })).filter(isStore)
  const ports = await choosePorts(new Map(Object.entries(storePorts)))
  const network = await new Network({ nextUuid: () => name }).start()
  const started: StartedTestContainer[] = []
  const close = async () => {
    await Promise.all(started.map((container) => container.stop()))
    await network.stop()
  }
  const starts = stores.map(async (store) => {
    started.push(await new ComposeContainer(store, { network, env: {}, ports: ports.get(store.name) ?? {} }).start())
  })
  const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
  if (failed) {
    await close().catch(() => {})
    throw failed.reason
  }
  return { env: storeUrls((store, inside) => `127.0.0.1:${ports.get(store)?.[inside]}`), close }
}
