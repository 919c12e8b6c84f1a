import { setTimeout as delay } from 'node:timers/promises'
import { type EventEnvelope, type EventType, type Payload, streamOf, streams } from '@im/contracts'
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream'
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Logger } from './logs.ts'
import { Counter, Histogram, type Registry } from './metrics.ts'

export interface Subscription {
  close(): Promise<void>
}

export interface SubscribeOptions<E extends EventType> {
  /** Name of the subscribing service; replicas share the durable consumer `<service>-<event>`. */
  service: string
  handle(payload: Payload<E>, envelope: EventEnvelope<Payload<E>>): Promise<void>
  /** Tries before the event is parked in the dead-letter subject. */
  attempts?: number
}

/** Where domain events go and come from. `recordedBus()` of the testing folder stands in for it in unit tests. */
export interface Bus {
  /** Stored by JetStream when the promise resolves; publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope): Promise<void>
  /** Durable, in order, at least once: the event is acknowledged after `handle` resolved. */
  subscribe<E extends EventType>(event: E, options: SubscribeOptions<E>): Promise<Subscription>
  /** To whoever listens right now: for caches that must forget. Resolves when the server has handed it on. */
  broadcast<E extends EventType>(event: E, payload: Payload<E>): Promise<void>
  listen<E extends EventType>(event: E, handle: (payload: Payload<E>) => void): Subscription
  /** A hint without content between replicas of one service. */
  wake(topic: string): void
  onWake(topic: string, handle: () => void): Subscription
  /** Tells when the connection is lost (false) and back (true): what was broadcast in between was not heard. */
  onConnection(handle: (connected: boolean) => void): Subscription
  ping(): Promise<void>
  close(): Promise<void>
}

const backOff = (attempt: number) => Math.min(100 * 2 ** attempt, 5000)

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
  void watchConnection(connection, (connected) => {
    for (const handle of watchers) handle(connected)
  })

  return {
    publish: (envelope) => publish(js, namespace, envelope),
    async subscribe(event, subscribing) {
      const subscription = await consume({ js, manager, namespace, log, event, subscribing, consumers })
      subscriptions.add(subscription)
      return subscription
    },
    async broadcast(event, payload) {
      connection.publish(`${namespace}.broadcast.${event.name}`, JSON.stringify(payload))
      await connection.flush()
    },
    listen: (event, handle) =>
      plainSubscription(connection, `${namespace}.broadcast.${event.name}`, (text) => handle(JSON.parse(text)), log),
    wake(topic) {
      if (!connection.isClosed()) connection.publish(`${namespace}.wake.${topic}`)
    },
    onWake: (topic, handle) => plainSubscription(connection, `${namespace}.wake.${topic}`, handle, log),
    onConnection(handle) {
      watchers.add(handle)
      return { close: async () => void watchers.delete(handle) }
    },
    async ping() {
      await Promise.race([
        connection.flush(),
        delay(2000, undefined, { ref: false }).then(() => Promise.reject(new Error('NATS does not answer'))),
      ])
    },
    async close() {
      await Promise.all([...subscriptions].map((subscription) => subscription.close()))
      await connection.drain().catch(() => connection.close())
    },
  }
}

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

async function publish(js: JetStreamClient, namespace: string, envelope: EventEnvelope): Promise<void> {
  await js.publish(`${namespace}.${envelope.name}`, JSON.stringify(envelope), { msgID: envelope.id })
}

function consumerMetrics(registry: Registry) {
  return {
    handled: new Counter({
      name: 'im_events_handled_total',
      help: 'Events handled, by outcome',
      labelNames: ['event', 'outcome'],
      registers: [registry],
    }),
    delay: new Histogram({
      name: 'im_event_delay_seconds',
      help: 'From the announcement of an event to the end of its handling',
      labelNames: ['event'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30],
      registers: [registry],
    }),
  }
}

async function consume<E extends EventType>(wiring: {
  js: JetStreamClient
  manager: JetStreamManager
  namespace: string
  log: Logger
  event: E
  subscribing: SubscribeOptions<E>
  consumers: ReturnType<typeof consumerMetrics>
}): Promise<Subscription> {
  const { js, manager, namespace, log, event, subscribing, consumers } = wiring
  const stream = `${namespace}_${streamOf(event).name}`
  const durable = `${subscribing.service}-${event.name.replaceAll('.', '-')}`
  const attempts = subscribing.attempts ?? 5
  await manager.consumers.add(stream, {
    durable_name: durable,
    filter_subject: `${namespace}.${event.name}`,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(30_000),
    // One at a time over all replicas: this is what keeps the order of an aggregate's events.
    max_ack_pending: 1,
  })

  const closing = new AbortController()
  let messages: ConsumerMessages | undefined

  async function handleOne(message: JsMsg): Promise<void> {
    let failure: unknown
    const alive = setInterval(() => message.working(), 10_000)
    try {
      const envelope = message.json<EventEnvelope<Payload<E>>>()
      for (let attempt = 0; attempt < attempts && !closing.signal.aborted; attempt++) {
        try {
          await subscribing.handle(envelope.data, envelope)
          consumers.handled.inc({ event: event.name, outcome: 'done' })
          consumers.delay.observe({ event: event.name }, Math.max(0, Date.now() - envelope.at) / 1000)
          message.ack()
          return
        } catch (error) {
          failure = error
          log.warn(
            { err: error, event: event.name, eventId: envelope.id, attempt },
            'could not handle an event; trying again',
          )
          await delay(backOff(attempt), undefined, { signal: closing.signal }).catch(() => {})
        }
      }
    } catch (error) {
      failure = error
    } finally {
      clearInterval(alive)
    }
    if (closing.signal.aborted) return message.nak()
    await park(message, failure)
  }

  /** A poison event must not stop those behind it: it is kept aside for an operator. */
  async function park(message: JsMsg, failure: unknown): Promise<void> {
    await js.publish(`${namespace}.dead.${subscribing.service}.${event.name}`, message.data)
    consumers.handled.inc({ event: event.name, outcome: 'dead' })
    log.error({ err: failure, event: event.name }, 'an event went to the dead-letter subject')
    message.ack()
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        const consumer = await js.consumers.get(stream, durable)
        messages = await consumer.consume({ max_messages: 50, idle_heartbeat: 5000, expires: 30_000 })
        for await (const message of messages) await handleOne(message)
      } catch (error) {
        if (!closing.signal.aborted)
          log.warn({ err: error, event: event.name }, 'an event consumer stopped; starting it again')
      }
      await delay(500, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    async close() {
      closing.abort()
      await messages?.close().catch(() => {})
      await running
    },
  }
}
