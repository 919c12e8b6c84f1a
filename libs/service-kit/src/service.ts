import type { ServiceName } from '@im/contracts'
import type { FastifyInstance } from 'fastify'
import PQueue from 'p-queue'
import type { TProperties } from 'typebox'
import { AuditLog } from './audit.ts'
import {
  type ConfigOf,
  type DatabaseConfig,
  type ServiceConfig,
  type ServiceSettings,
  serviceConfig,
} from './config.ts'
import type { EventHandler } from './events/event-handler.ts'
import { handleEvents } from './events/handle-events.ts'
import { drainBeforeEnd } from './http/drain.ts'
import { type BoundHandler, createServiceApp } from './http/edge.ts'
import { type Closable, type Connections, connectRuntime, connectWithoutDatabase, type Runtime } from './runtime.ts'
import { StartError } from './start-error.ts'

/** The connections of a service. The gateway has no database. */
type RuntimeOf<D extends Connections> = D extends Runtime ? Runtime<D['config']> : Connections<D['config']>

/** An HTTP server of a service and where it listens. */
export interface Listener {
  app: FastifyInstance
  host: string
  port: number
}

export interface ServiceDefinition<S extends TProperties, D extends Connections<ConfigOf<S>>> {
  name: ServiceName
  /** Settings of this service alone; those that every service has come from the kit. */
  settings: S
  /** Problems that no single setting shows, one line for each. */
  checkConfig?: (config: ConfigOf<S>) => string[]
  /** False: no MongoDB and no outbox. */
  database?: D extends Runtime ? true : false
  /** The service's own parts. Those with a method `createIndexes` are asked to create theirs before the service listens. */
  createDeps: (runtime: RuntimeOf<D>) => Omit<D, keyof RuntimeOf<D>> | Promise<Omit<D, keyof RuntimeOf<D>>>
  /** Listeners in the place of the edge over `handlers`; undefined keeps that one. Other services call the first. */
  listeners?: (deps: D) => Listener[] | undefined
  handlers?: readonly (readonly BoundHandler<D>[])[]
  /** Runs before events and requests are taken. */
  prepare?: (deps: D) => Promise<unknown>
  /** They need a database, which stores how far events were handled. */
  eventHandlers?: D extends Runtime ? (deps: D) => EventHandler[] : never
  /** Work beside requests and events. It is closed after them and before the stores. */
  background?: (deps: D) => Closable[]
}

export interface RunningService<D = unknown> {
  /** Address of the first listener. */
  url: string
  /** Addresses of all listeners. */
  urls: string[]
  deps: D
  /** Resolves with the reason when the service can't go on: the process must be started anew. */
  failed: Promise<Error>
  /** Takes no more work, ends what runs, then closes the stores. */
  close(): Promise<void>
}

export interface Service<D extends Connections = Connections> {
  name: ServiceName
  settings: ServiceSettings
  /** Throws ConfigError. */
  readConfig(env: NodeJS.ProcessEnv): D['config']
  /** Starts the service: in production, in the one-process stack and in tests. `overrides` replace parts in tests. */
  start(env: NodeJS.ProcessEnv, overrides?: Partial<D>): Promise<RunningService<D>>
}

/** Makes a service of its parts. Config, connections, edge, events, start and end are the same for all services. */
export function defineService<S extends TProperties, D extends Connections<ConfigOf<S>>>(
  definition: ServiceDefinition<S, D>,
): Service<D> {
  const { name, database = true } = definition
  const { settings, read } = serviceConfig(name, { own: definition.settings, database })

  function readConfig(env: NodeJS.ProcessEnv): ConfigOf<S> {
    return read(env, definition.checkConfig as ((config: ServiceConfig) => string[]) | undefined) as ConfigOf<S>
  }

  async function start(env: NodeJS.ProcessEnv, overrides: Partial<D> = {}): Promise<RunningService<D>> {
    const config = readConfig(env)
    const runtime = database
      ? await connectRuntime(name, config as typeof config & DatabaseConfig, overrides.now)
      : await connectWithoutDatabase(name, config, overrides.now)
    const opened: Closable[] = [runtime]
    try {
      const base = { ...runtime, ...overrides } as unknown as RuntimeOf<D>
      const deps = { ...base, ...(await definition.createDeps(base)), ...overrides } as unknown as D
      await createIndexes(deps)
      await definition.prepare?.(deps)
      opened.push(...(definition.background?.(deps) ?? []))
      const eventHandlers = definition.eventHandlers?.(deps as never) ?? []
      if (eventHandlers.length) opened.push(handleEvents(deps as unknown as Runtime, eventHandlers))
      const listeners = definition.listeners?.(deps) ?? [edge(definition, deps, await openAudit(definition, deps))]
      const urls: string[] = []
      // All at once, so that probes say from the beginning that the service ends.
      opened.push({ close: () => Promise.all(listeners.map(({ app }) => app.close())) })
      for (const { app, host, port } of listeners) {
        drainBeforeEnd(app, config.drainSeconds)
        urls.push(await app.listen({ host, port }).catch((error) => rethrow(error, host, port)))
      }
      runtime.log.info({ urls }, 'listening')
      let ending: Promise<void> | undefined
      return {
        url: urls[0] ?? '',
        urls,
        deps,
        failed: runtime.failed,
        close() {
          ending ??= closeAll(opened, runtime.log).then(() => runtime.log.info('ended'))
          return ending
        },
      }
    } catch (error) {
      await closeAll(opened, runtime.log)
      throw error
    }
  }

  return { name, settings, readConfig, start }
}

function edge<S extends TProperties, D extends Connections<ConfigOf<S>>>(
  { handlers = [] }: ServiceDefinition<S, D>,
  deps: D,
  audit: AuditLog | undefined,
): Listener {
  const { config, log, metrics, tracing, ready, isOverloaded, rateCounters: limits } = deps
  const { host, port } = config
  const app = createServiceApp<D>({
    handlers: handlers.flat(),
    deps,
    config,
    log,
    metrics,
    tracing,
    limits,
    audit,
    ready,
    isOverloaded,
  })
  return { app, host, port }
}

/** Opens the audit of a service that has endpoints with `audit`. */
async function openAudit<S extends TProperties, D extends Connections<ConfigOf<S>>>(
  { handlers = [] }: ServiceDefinition<S, D>,
  deps: D,
): Promise<AuditLog | undefined> {
  const { db } = deps as Partial<Runtime>
  if (!db || !handlers.flat().some(({ endpoint }) => endpoint.audit)) return undefined
  const audit = new AuditLog({ db, now: deps.now, log: deps.log })
  await audit.createIndexes()
  return audit
}

/** The database makes them one after the other: more at once would only open a connection each. */
const indexesAtOnce = 4

async function createIndexes(deps: object): Promise<void> {
  const owners = Object.values(deps).filter(
    (part): part is { createIndexes(): Promise<void> } =>
      typeof (part as { createIndexes?: unknown } | undefined)?.createIndexes === 'function',
  )
  await new PQueue({ concurrency: indexesAtOnce }).addAll(owners.map((owner) => () => owner.createIndexes()))
}

function rethrow(error: NodeJS.ErrnoException, host: string, port: number): never {
  if (!error.syscall) throw error
  if (error.code !== 'EADDRINUSE')
    throw new StartError(`can't listen at ${host}, port ${port} (${error.message}): set an address of this machine`, {
      cause: error,
    })
  throw Object.assign(new StartError(`port ${port} is taken: set PORT to a free one`, { cause: error }), {
    code: error.code,
    port,
  })
}

/** Closes in reverse order, because each part may need those opened before it. */
async function closeAll(opened: readonly Closable[], log: Runtime['log']): Promise<void> {
  for (const part of opened.toReversed())
    await part.close().catch((error: unknown) => log.warn({ err: error }, 'a part did not close cleanly'))
}
