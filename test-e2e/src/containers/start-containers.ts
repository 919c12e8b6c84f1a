import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, loadSecrets, type ProcessName, type ServerName, type ServiceName } from '@im/dev'
import { type ComposeService, readCompose } from '@im/dev/containers'
import { Network, type StartedTestContainer } from 'testcontainers'
import type { TestStack } from '../stack.ts'
import { ComposeContainer, endContainer, logsOf } from './compose-container.ts'
import { reachThisMachine } from './reach-this-machine.ts'

/** Where the stores and the XMPP server listen inside; services say it by their PORT. */
const portsOf: Record<string, number[]> = { mongodb: [27_017], redis: [6379], nats: [4222, 8222], xmpp: [5222, 5280] }
const isStore = ({ name }: ComposeService) => ['mongodb', 'redis', 'nats'].includes(name)
/** compose.yaml names the XMPP server by what it does, not by its product. */
const composeName = (name: ProcessName | ServerName) => (name === 'prosody' ? 'xmpp' : name)

/** What `.env` holds besides the secrets of the services. */
const ofStores = {
  // SecantusDB is no replica set by the name of the one in compose.yaml.
  MONGODB_URL: 'mongodb://mongodb:27017/?directConnection=true',
  REDIS_PASSWORD: 'redis-password',
  NATS_PASSWORD: '12e5',
}

let networks = 0

/** The stack of compose.yaml on a network of its own, each part on free ports of this machine, limits off. */
export async function startContainers({ env: given = {} }: { env?: Record<string, string> }): Promise<TestStack> {
  const folder = await mkdtemp(join(tmpdir(), 'im-e2e-'))
  const secrets = await loadSecrets(join(folder, 'secrets.json'), {})
  const services = await readCompose({ ...secrets.values, ...ofStores })
  const ports = await choosePorts(services)
  const address = (part: string, port: number) => `127.0.0.1:${ports.get(part)?.[port]}`
  const publicUrl = `http://${address('gateway', 8092)}/`
  const settings = {
    ...{ NODE_ENV: 'test', LOG_LEVEL: 'error', LIMIT_FACTOR: '0', XMPP_TLS: 'off', XMPP_DOMAIN: 'im.localhost' },
    ...secrets.values,
    ...given,
  }
  const name = `${process.env['E2E_CONTAINERS'] ?? 'im-e2e'}-${process.pid}-${++networks}`
  const network = await new Network({ nextUuid: () => name }).start()
  const host = await reachThisMachine(network, settings)
  const env = {
    // As apps on this machine see them.
    ...{
      PUBLIC_API_URL: publicUrl,
      PUBLIC_UPLOAD_URL: publicUrl,
      PUBLIC_FILE_URL: publicUrl,
      PUBLIC_AVATAR_URL: publicUrl,
    },
    ...host.settings,
  }

  const containers = new Map<string, StartedTestContainer>()
  const start = async (some: ComposeService[]) => {
    const starts = some.map(async (service) => {
      const place = { network, env, ports: ports.get(service.name) ?? {} }
      containers.set(service.name, await new ComposeContainer(service, place).start())
    })
    const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }
  const close = async () => {
    host.close()
    await Promise.all([...containers.values()].map((container) => container.stop()))
    await network.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await start(services.filter(isStore))
    await start(services.filter((service) => !isStore(service)))
  } catch (cause) {
    // One that did not come up is still there, and keeps the network; the end of the run removes both.
    await close().catch(() => {})
    throw cause
  }

  const find = (part: ProcessName | ServerName) => {
    const container = containers.get(composeName(part))
    if (!container) throw new Error(`compose.yaml has no ${part}`)
    return container
  }
  const apis = services.filter(({ environment }) => environment['SERVICE'])
  const urls = apis.map(({ name, environment }) => [name, `http://${address(name, Number(environment['PORT']))}`])
  return {
    gatewayUrl: `http://${address('gateway', 8092)}`,
    xmppPort: ports.get('xmpp')?.[5222] ?? 0,
    xmppDomain: settings.XMPP_DOMAIN,
    urls: Object.fromEntries(urls) as Record<ServiceName, string>,
    env: {
      ...settings,
      MONGODB_URL: `mongodb://${address('mongodb', 27_017)}/?directConnection=true`,
      REDIS_URL: `redis://:${ofStores.REDIS_PASSWORD}@${address('redis', 6379)}`,
      NATS_URL: `nats://im:${ofStores.NATS_PASSWORD}@${address('nats', 4222)}`,
      ...Object.fromEntries(urls.map(([part, url]) => [`${part?.toUpperCase()}_URL`, url])),
      XMPP_HTTP_URL: `http://${address('xmpp', 5280)}`,
    },
    secrets,
    kill: (part) => endContainer(find(part), 'SIGKILL'),
    stop: (part) => endContainer(find(part), 'SIGTERM'),
    restart: (part) => find(part).restart(),
    folder: (part) => Promise.reject(new Error(`the folder of ${part} is in its container`)),
    logs: async () => (await Promise.all([...containers.values()].map(logsOf))).join('\n'),
    close,
  }
}

/** For each part its ports inside, and those of this machine that lead there. */
async function choosePorts(services: ComposeService[]): Promise<Map<string, Record<number, number>>> {
  const chosen = services.map(async ({ name, environment }) => {
    const inside = portsOf[name] ?? [Number(environment['PORT'])]
    const pairs = await Promise.all(inside.map(async (port) => [port, await freePort()] as const))
    return [name, Object.fromEntries(pairs)] as const
  })
  return new Map(await Promise.all(chosen))
}
