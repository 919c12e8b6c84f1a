import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSecrets, type ProcessName, type ServerName, type ServiceName } from '@im/dev'
import {
  ComposeContainer,
  type ComposeService,
  type ContainerPlace,
  choosePorts,
  emptyVolume,
  endContainer,
  logsOf,
  readCompose,
  restoreVolume,
  saveVolume,
  storePorts,
  storeSettings,
  storeUrls,
} from '@im/dev/containers'
import { Network, type StartedTestContainer } from 'testcontainers'
import { quickHashes, type TestStack, type TestStackOptions } from '../stack.ts'
import { loopbackPorts, reachThisMachine } from './reach-this-machine.ts'

const isStore = ({ name }: ComposeService) => name in storePorts
const isApi = ({ environment }: ComposeService) => environment['SERVICE'] !== undefined
/** compose.yaml names the XMPP servers by what they do, not by their product. */
const composeName = (name: ProcessName | ServerName) => name.replace(/^prosody/, 'xmpp')

/** One of several that compose.yaml describes once: `message-2`, `xmpp-2`. */
interface Part extends ComposeService {
  /** The name in compose.yaml. */
  of: string
}

let networks = 0

/** The stack of compose.yaml on a network of its own, each part on free ports of this machine, limits off. */
export async function startContainers(options: TestStackOptions): Promise<TestStack> {
  const { env: given = {}, served = [] } = options
  const folder = await mkdtemp(join(tmpdir(), 'im-e2e-'))
  const secrets = await loadSecrets(join(folder, 'secrets.json'), {})
  const parts = multiply(await readCompose({ ...secrets.values, ...storeSettings }), options)
  const ports = await choosePorts(new Map(parts.map((part) => [part.name, portsInside(part)])))
  const address = (part: string, port: number) => `127.0.0.1:${ports.get(part)?.[port]}`
  const publicUrl = `http://${address('gateway', 8092)}/`
  const settings = {
    ...{ NODE_ENV: 'test', LOG_LEVEL: 'error', LIMIT_FACTOR: '0', XMPP_TLS: 'off', XMPP_DOMAIN: 'im.localhost' },
    ...quickHashes,
    ...secrets.values,
    ...given,
  }
  const name = `${process.env['E2E_CONTAINERS'] ?? 'im-e2e'}-${process.pid}-${++networks}`
  const network = await new Network({ nextUuid: () => name }).start()
  const thisMachine = await reachThisMachine(network, loopbackPorts([...Object.values(settings), ...served]))
  const env = {
    // As apps on this machine see them.
    ...{
      PUBLIC_API_URL: publicUrl,
      PUBLIC_UPLOAD_URL: publicUrl,
      PUBLIC_FILE_URL: publicUrl,
      PUBLIC_AVATAR_URL: publicUrl,
    },
    ...settings,
  }

  const containers = new Map<string, StartedTestContainer>()
  const start = async (some: Part[]) => {
    const starts = some.map(async (part) => {
      const { name, of } = part
      const place: ContainerPlace = { network, env: { ...env }, ports: ports.get(name) ?? {} }
      if (of === 'xmpp') {
        place.env['XMPP_SERVER_NAME'] = name === of ? 'xmpp-1' : name
        // DNS gives all XMPP servers under one name. Calls go to the first replica of a service, as with local processes.
        place.alias = of
      }
      // Probes and metrics are for tests, too.
      if (of === 'gateway') place.env['OPERATIONS_HOST'] = '0.0.0.0'
      const container = await new ComposeContainer(part, place).start()
      containers.set(name, container)
      if (isApi(part)) await thisMachine.lead(container)
    })
    const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
  }
  const close = async () => {
    thisMachine.close()
    await Promise.all([...containers.values()].map((container) => container.stop()))
    await network.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await start(parts.filter(isStore))
    await start(parts.filter((part) => !isStore(part)))
  } catch (cause) {
    // One that did not come up is still there, and keeps the network; the end of the run removes both.
    await close().catch(() => {})
    throw cause
  }

  const find = (name: ProcessName | ServerName) => {
    const part = parts.find((each) => each.name === composeName(name))
    const container = part && containers.get(part.name)
    if (!container) throw new Error(`compose.yaml has no ${name}`)
    return { part, container }
  }
  const volumeOf = (name: ServerName) => {
    const { part, container } = find(name)
    const [kept] = part.kept
    if (!kept) throw new Error(`compose.yaml gives ${name} no volume`)
    return { kept, container }
  }
  const urls = parts
    .filter((part) => isApi(part) && part.name === part.of)
    .map(({ name, environment }) => [name, `http://${address(name, Number(environment['PORT']))}`] as const)
  const addressesOf = (of: string, port: number) =>
    parts.filter((part) => part.of === of).map(({ name }) => address(name, port))
  const xmppPorts = parts.filter(({ of }) => of === 'xmpp').map(({ name }) => ports.get(name)?.[5222])
  return {
    gatewayUrl: `http://${address('gateway', 8092)}`,
    xmppPort: xmppPorts[0] ?? 0,
    xmppDomain: settings.XMPP_DOMAIN,
    urls: Object.fromEntries(urls) as Record<ServiceName, string>,
    env: {
      ...settings,
      ...storeUrls(address),
      ...Object.fromEntries(urls.map(([part, url]) => [`${part.toUpperCase()}_URL`, url])),
      OPERATIONS_PORT: String(ports.get('gateway')?.[9092]),
      XMPP_PORTS: xmppPorts.join(','),
      XMPP_HTTP_URL: addressesOf('xmpp', 5280)
        .map((each) => `http://${each}`)
        .join(','),
    },
    secrets,
    processes: parts.filter(isApi).map(({ name }) => name as ProcessName),
    kill: (name) => endContainer(find(name).container, 'SIGKILL'),
    stop: (name) => endContainer(find(name).container, 'SIGTERM'),
    async restart(name) {
      const { part, container } = find(name)
      await container.restart()
      if (isApi(part)) await thisMachine.lead(container)
    },
    async empty(name) {
      const { kept, container } = volumeOf(name)
      await emptyVolume(container, kept)
    },
    async save(name) {
      const { kept, container } = volumeOf(name)
      const file = join(folder, `${container.getId()}.tar`)
      await saveVolume(container, kept, file)
      return () => restoreVolume(container, kept, file)
    },
    async stagedFiles() {
      const { output, exitCode } = await find('message').container.exec(['ls', '/var/lib/im-files/staging'])
      return exitCode === 0 ? output.split('\n').filter(Boolean) : []
    },
    logs: async () => (await Promise.all([...containers.values()].map(logsOf))).join('\n'),
    close,
  }
}

/** What compose.yaml describes, and as many more of the services and XMPP servers as are wanted. */
function multiply(services: readonly ComposeService[], { replicas, xmppServers }: TestStackOptions): Part[] {
  const wanted: Partial<Record<string, number>> = { ...replicas, xmpp: xmppServers ?? 1 }
  return services.flatMap((service) =>
    Array.from({ length: wanted[service.name] ?? 1 }, (_, index) => ({
      ...service,
      of: service.name,
      name: index ? `${service.name}-${index + 1}` : service.name,
    })),
  )
}

/** Where a part listens inside; services say it by their PORT and OPERATIONS_PORT. */
function portsInside({ of, environment: { PORT, OPERATIONS_PORT } }: Part): readonly number[] {
  if (of === 'xmpp') return [5222, 5280]
  return storePorts[of] ?? [PORT, OPERATIONS_PORT].filter(Boolean).map(Number)
}
