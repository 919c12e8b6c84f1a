import {
  GenericContainer,
  getContainerRuntimeClient,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
  type WaitStrategy,
} from 'testcontainers'
import type { ComposeService } from './compose.ts'

export interface ContainerPlace {
  network: StartedNetwork
  /** Settings besides those of compose.yaml. */
  env: Record<string, string>
  /** Port inside → port of this machine, on loopback. It stays the same when the container is started again. */
  ports: Record<number, number>
  /** Its name on the network besides that of compose.yaml; further ones have it, too, so that DNS gives all of them. */
  alias?: string
}

/** A container as compose.yaml describes it; others on its network find it by its name there. */
export class ComposeContainer extends GenericContainer {
  readonly #service: ComposeService

  constructor(service: ComposeService, { network, env, ports, alias }: ContainerPlace) {
    super(service.image)
    this.#service = service
    const { name, command, environment, files, kept, limits } = service
    this.withName(`${name}.${network.getName()}`)
    this.withNetwork(network)
    // Aliases of testcontainers need the engine's default network, which an engine need not have.
    const aliases = alias ? [name, alias] : [name]
    this.createOpts.NetworkingConfig = { EndpointsConfig: { [network.getName()]: { Aliases: aliases } } }
    this.createOpts.Volumes = Object.fromEntries(kept.map((folder) => [folder, {}]))
    Object.assign(this.hostConfig, {
      ...{ ReadonlyRootfs: limits.readOnly, CapDrop: limits.capDrop, SecurityOpt: limits.securityOpt },
      ...(limits.memory ? { Memory: limits.memory } : {}),
    })
    this.withEnvironment({ ...environment, ...env })
    if (command) this.withCommand(command)
    if (files.length > 0) this.withCopyFilesToContainer(files)
    this.withExposedPorts(...Object.entries(ports).map(([container, host]) => ({ container: Number(container), host })))
    this.withWaitStrategy(this.#isUp()).withStartupTimeout(100_000)
  }

  /** Healthy by the check of compose.yaml, asked more often; where it has none (NATS): its monitor says so. */
  #isUp(): WaitStrategy {
    const { healthcheck } = this.#service
    if (!healthcheck) return Wait.forHttp('/healthz', 8222)
    const test = typeof healthcheck.test === 'string' ? ['CMD-SHELL', healthcheck.test] : healthcheck.test
    this.withHealthCheck({ test: test as ['CMD', ...string[]], interval: 1000, timeout: 10_000, retries: 100 })
    return Wait.forHealthCheck()
  }

  protected override async beforeContainerCreated(): Promise<void> {
    for (const bindings of Object.values(this.hostConfig.PortBindings ?? {}))
      for (const binding of bindings as { HostIp?: string }[]) binding.HostIp = '127.0.0.1'
  }
}

/** Ends what runs in it. It stays down until it is restarted. */
export async function endContainer(container: StartedTestContainer, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const { container: containers } = await getContainerRuntimeClient()
  const killed = containers.getById(container.getId())
  await killed.kill({ signal })
  await killed.wait()
}

export async function logsOf(container: StartedTestContainer): Promise<string> {
  const { container: containers } = await getContainerRuntimeClient()
  const logs = await containers.getById(container.getId()).logs({ stdout: true, stderr: true })
  return logs.toString()
}
