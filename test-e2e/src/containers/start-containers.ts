import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, loadSecrets, type ServerName, type ServiceName } from '@im/dev'
import { type ComposeService, readCompose } from '@im/dev/containers'
import { Network, type StartedTestContainer } from 'testcontainers'
import type { TestStack } from '../stack.ts'
import { ComposeContainer, killContainer, logsOf } from './compose-container.ts'

const domain = 'im.localhost'
const stores = ['mongodb', 'redis', 'nats']
/** Where the stores and XMPP listen inside; services say it by their PORT. */
const listening: Record<string, number[]> = { mongodb: [27_017], redis: [6379], nats: [4222, 8222], xmpp: [5222, 5280] }

const portsInside = ({ name, environment }: ComposeService) => listening[name] ?? [Number(environment['PORT'])]
/** The containers call the XMPP server by what it does, not by its product. */
const composeName = (name: string) => (name === 'prosody' ? 'xmpp' : name)

/** The stack of compose.yaml on a network of its own, each part on free ports of this machine, limits off. */
export async function startContainers({ env: given = {} }: { env?: Record<string, string> } = {}): Promise<TestStack> {
  const folder = await mkdtemp(join(tmpdir(), 'im-e2e-'))
  const secrets = await loadSecrets(join(folder, 'secrets.json'), {})
  const services = await readCompose()
  const ports = new Map<string, Record<number, number>>()
  for (const service of services) {
    const taken = await Promise.all(portsInside(service).map(async (inside) => [inside, await freePort()] as const))
    ports.set(service.name, Object.fromEntries(taken))
  }
  const port = (name: string, inside: number) => ports.get(name)?.[inside] ?? 0
  const settings = {
    ...{ NODE_ENV: 'test', LOG_LEVEL: 'error', LIMIT_FACTOR: '0', XMPP_TLS: 'off', XMPP_DOMAIN: domain },
    ...secrets.values,
    ...given,
  }
  const addresses = (at: (name: string, inside: number) => string) => ({
    MONGODB_URL: `mongodb://${at('mongodb', 27_017)}/?directConnection=true`,
    REDIS_URL: `redis://${at('redis', 6379)}`,
    NATS_URL: `nats://${at('nats', 4222)}`,
  })
  const inside = { ...settings, ...addresses((name, number) => `${name}:${number}`) }

  const network = await new Network({
    nextUuid: () => `${process.env['E2E_CONTAINERS'] ?? 'im-e2e'}-${process.pid}-${++networks}`,
  }).start()
  const containers = new Map<string, StartedTestContainer>()
  const close = async () => {
    await Promise.all([...containers.values()].map((container) => container.stop()))
    await network.stop()
    await rm(folder, { recursive: true, force: true })
  }
  const start = async (some: ComposeService[]) => {
    const starts = some.map(async (service) => {
      const place = { network, env: inside, ports: ports.get(service.name) ?? {} }
      containers.set(service.name, await new ComposeContainer(service, place).start())
    })
    const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }
  try {
    await start(services.filter(({ name }) => stores.includes(name)))
    await start(services.filter(({ name }) => !stores.includes(name)))
  } catch (cause) {
    // One that did not come up is still there, and keeps the network; the end of the run removes both.
    await close().catch(() => {})
    throw cause
  }

  const find = (name: ServiceName | ServerName) => {
    const container = containers.get(composeName(name))
    if (!container) throw new Error(`compose.yaml has no ${name}`)
    return container
  }
  const urls = Object.fromEntries(
    services
      .filter(({ environment }) => environment['SERVICE'])
      .map((service) => [service.name, `http://127.0.0.1:${port(service.name, portsInside(service)[0] ?? 0)}`]),
  ) as Record<ServiceName, string>
  return {
    gatewayUrl: urls.gateway,
    xmppPort: port('xmpp', 5222),
    xmppDomain: domain,
    urls,
    env: { ...settings, ...addresses((name, number) => `127.0.0.1:${port(name, number)}`) },
    secrets,
    kill: (name) => killContainer(find(name)),
    restart: (name) => find(name).restart(),
    logs: async () => (await Promise.all([...containers.values()].map(logsOf))).join('\n'),
    close,
  }
}

let networks = 0
