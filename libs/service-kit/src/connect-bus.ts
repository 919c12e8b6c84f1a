import { streams } from '@im/contracts'
import { type JetStreamManager, jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos, RequestError } from '@nats-io/transport-node'
import type { Bus, Subscription } from './bus.ts'
import { consume, consumerMetrics } from './bus-consumer.ts'
import type { Logger } from './logs.ts'
import type { Registry } from './metrics.ts'
import { StoreAwayError } from './store-away.ts'
import { within } from './within.ts'

/** Connects to NATS; keeps reconnecting for ever. Creates the streams that are missing. */
export async function connectBus(options: {
  url: string
  namespace: string
  replicas: number
  service: string
  log: Logger
  metrics: Registry
}): Promise<Bus> {
  const { namespace, log, metrics } = options
  const connection = await connect({
    servers: options.url.split(','),
    name: `im-${options.service}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    timeout: 5000,
  })
  const manager = await jetstreamManager(connection, { timeout: 5000 })
  await ensureStreams(manager, namespace, options.replicas)
  const js = jetstream(connection, { timeout: 5000 })
  const consumers = consumerMetrics(metrics)
  const subscriptions = new Set<Subscription>()
  const watchers = new Set<(connected: boolean) => void>()
  let connected = true
  void watchConnection(connection, (now) => {
    connected = now
    for (const handle of watchers) handle(now)
  })
  let restoring: Promise<void> | undefined

  /** A server that lost its disk comes back without streams. */
  function restoreStreams(): Promise<void> {
    restoring ??= ensureStreams(manager, namespace, options.replicas).finally(() => {
      restoring = undefined
    })
    return restoring
  }

  /** Without a connection the client would keep what is published in memory and send it later, again for each try. */
  function demandConnection(): void {
    if (!connected) throw new StoreAwayError('NATS', 'no connection')
  }

  const onConnection: Bus['onConnection'] = (handle) => {
    watchers.add(handle)
    return { close: async () => void watchers.delete(handle) }
  }

  return {
    async publish(envelope) {
      demandConnection()
      try {
        await js.publish(`${namespace}.${envelope.name}`, JSON.stringify(envelope), { msgID: envelope.id })
      } catch (error) {
        // No stream takes the subject. The caller tries again.
        if (hasNoResponders(error as Error)) await restoreStreams().catch(() => {})
        throw new StoreAwayError('NATS', (error as Error).message, { cause: error })
      }
    },
    async subscribe(handlers) {
      const { service } = options
      const wiring = { js, manager, namespace, log, service, consumers, onConnection, restoreStreams }
      const opened = await Promise.all(handlers.map((subscribing) => consume({ ...wiring, subscribing })))
      const subscription = { close: async () => void (await Promise.all(opened.map((part) => part.close()))) }
      subscriptions.add(subscription)
      return subscription
    },
    async broadcast(event, payload) {
      demandConnection()
      connection.publish(`${namespace}.broadcast.${event.name}`, JSON.stringify(payload))
      await within(2000, 'NATS', connection.flush())
    },
    listen: (event, handle) =>
      plainSubscription(connection, `${namespace}.broadcast.${event.name}`, (text) => handle(JSON.parse(text)), log),
    wake(topic) {
      if (connected && !connection.isClosed()) connection.publish(`${namespace}.wake.${topic}`)
    },
    onWake: (topic, handle) => plainSubscription(connection, `${namespace}.wake.${topic}`, handle, log),
    onConnection,
    async ping() {
      demandConnection()
      await within(2000, 'NATS', connection.flush())
    },
    async close() {
      await Promise.all([...subscriptions].map((subscription) => subscription.close()))
      // Draining waits for the server; one that is away must not hold up the end.
      await within(connected ? 3000 : 0, 'NATS', connection.drain()).catch(() => connection.close())
    },
  }
}

/** The client says "JetStream is not enabled" where nobody took the message. */
const hasNoResponders = ({ cause }: Error) => cause instanceof RequestError && cause.isNoResponders()

async function watchConnection(connection: NatsConnection, tell: (connected: boolean) => void): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === 'disconnect') tell(false)
    if (type === 'reconnect') tell(true)
  }
}

function plainSubscription(
  connection: NatsConnection,
  subject: string,
  handle: (text: string) => void,
  log: Logger,
): Subscription {
  const subscription = connection.subscribe(subject, {
    callback: (error, message) => {
      if (error) return log.warn({ err: error, subject }, 'a plain subscription failed')
      try {
        handle(message.string())
      } catch (cause) {
        log.error({ err: cause, subject }, 'could not handle a broadcast')
      }
    },
  })
  return {
    close: async () => {
      if (!connection.isClosed()) subscription.unsubscribe()
    },
  }
}

async function ensureStreams(manager: JetStreamManager, namespace: string, replicas: number): Promise<void> {
  for (const stream of Object.values(streams)) {
    const name = `${namespace}_${stream.name}`
    const subjects = stream.nouns.map((noun) => `${namespace}.${noun}.>`)
    const limits = { max_age: nanos(stream.maxAgeSeconds * 1000), subjects, num_replicas: replicas }
    const existing = await manager.streams.info(name).catch(() => undefined)
    if (existing) {
      const same = subjects.every((subject) => existing.config.subjects.includes(subject))
      if (!same) await manager.streams.update(name, { ...existing.config, ...limits })
      continue
    }
    await manager.streams
      .add({
        name,
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        duplicate_window: nanos(120_000),
        ...limits,
      })
      .catch(async (error) => {
        // Another service may have created it in the same moment.
        if (!(await manager.streams.info(name).catch(() => undefined))) throw error
      })
  }
}
