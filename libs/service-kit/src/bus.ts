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
import { isTransient } from './http/failures.ts'
import type { Logger } from './logs.ts'
import { Counter, Histogram, type Registry } from './metrics.ts'
import { within } from './within.ts'

export interface Subscription {
  close(): Promise<void>
}

export interface SubscribeOptions<E extends EventType> {
  /** Name of the subscribing service; replicas share the durable consumer `<service>-<event>`. */
  service: string
  handle(payload: Payload<E>, envelope: EventEnvelope<Payload<E>>): Promise<void>
  /**
   * Tries before the event is parked in the dead-letter subject (5). While a store or another service is away it is tried
   * for ever: the event is not at fault.
   */
  attempts?: number
}

/** Where domain events go and come from. `recordedBus()` of the testing folder stands in for it in unit tests. */
export interface Bus {
  /** Stored by JetStream when the promise resolves; publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope): Promise<void>
  /**
   * Durable, in order, at least once: the event is acknowledged after `handle` resolved. What must not happen twice goes
   * through `outbox.once(envelope.id, …)` (or `handleOnce`).
   */
  subscribe<E extends EventType>(event: E, options: SubscribeOptions<E>): Promise<Subscription>
  /**
   * To whoever listens right now: for caches that must forget. Resolves when the server has handed it on; rejects at once
   * while there is no connection.
   */
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
    if (connected) return
    const error = new Error('no connection to NATS')
    error.name = 'BusAwayError'
    throw error
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
        if ((error as Error).name === 'NoRespondersError') await restoreStreams().catch(() => {})
        throw error
      }
    },
    async subscribe(event, subscribing) {
      const wiring = { js, manager, namespace, log, event, subscribing, consumers, onConnection, restoreStreams }
      const subscription = await consume(wiring)
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

/** How long an event is held by a consumer that gives no sign of life (ms): the wait after a crash in the middle of one. */
const ackWait = 5000

async function consume<E extends EventType>(wiring: {
  js: JetStreamClient
  manager: JetStreamManager
  namespace: string
  log: Logger
  event: E
  subscribing: SubscribeOptions<E>
  consumers: ReturnType<typeof consumerMetrics>
  onConnection: Bus['onConnection']
  restoreStreams: () => Promise<void>
}): Promise<Subscription> {
  const { js, manager, namespace, log, event, subscribing, consumers } = wiring
  const stream = `${namespace}_${streamOf(event).name}`
  const durable = `${subscribing.service}-${event.name.replaceAll('.', '-')}`
  const attempts = subscribing.attempts ?? 5

  async function ensureConsumer(): Promise<void> {
    const changeable = {
      ack_wait: nanos(ackWait),
      // One at a time over all replicas: this is what keeps the order of an aggregate's events.
      max_ack_pending: 1,
    }
    await manager.consumers
      .add(stream, {
        durable_name: durable,
        filter_subject: `${namespace}.${event.name}`,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ...changeable,
      })
      // It is there, made by a release with other settings.
      .catch(() => manager.consumers.update(stream, durable, changeable))
  }
  await ensureConsumer()

  const closing = new AbortController()
  let messages: ConsumerMessages | undefined

  async function handleOne(message: JsMsg): Promise<void> {
    let failure: unknown
    const alive = setInterval(() => message.working(), ackWait / 4)
    try {
      const envelope = message.json<EventEnvelope<Payload<E>>>()
      let failures = 0
      for (let attempt = 0; failures < attempts && !closing.signal.aborted; attempt++) {
        try {
          await subscribing.handle(envelope.data, envelope)
          consumers.handled.inc({ event: event.name, outcome: 'done' })
          consumers.delay.observe({ event: event.name }, Math.max(0, Date.now() - envelope.at) / 1000)
          message.ack()
          return
        } catch (error) {
          failure = error
          if (!isTransient(error)) failures++
          consumers.handled.inc({ event: event.name, outcome: 'failed' })
          log.warn(
            { err: error, event: event.name, eventId: envelope.id, attempt },
            'could not handle an event; trying again',
          )
          await delay(backOff(attempt), undefined, { signal: closing.signal }).catch(() => {})
        }
      }
      if (failures >= attempts) await park(message, failure, envelope.id)
      else message.nak()
    } catch (error) {
      if (isTransient(error)) throw error
      await park(message, error, `${stream}-${message.seq}`)
    } finally {
      clearInterval(alive)
    }
  }

  /** A poison event must not stop those behind it: it is kept aside for an operator. */
  async function park(message: JsMsg, failure: unknown, id: string): Promise<void> {
    await js.publish(`${namespace}.dead.${subscribing.service}.${event.name}`, message.data, {
      msgID: `${subscribing.service}-${id}`,
    })
    consumers.handled.inc({ event: event.name, outcome: 'dead' })
    log.error({ err: failure, event: event.name }, 'an event went to the dead-letter subject')
    message.ack()
  }

  /** The client's own recovery waits up to half a minute after a restart of the server: we begin anew instead. */
  async function endWhenStale(stopped: ConsumerMessages): Promise<void> {
    const signs = new Set(['heartbeats_missed', 'consumer_deleted', 'consumer_not_found', 'stream_not_found'])
    for await (const { type } of stopped.status()) if (signs.has(type)) stopped.stop()
  }

  async function open(isFirst: boolean): Promise<ConsumerMessages> {
    if (!isFirst) {
      await wiring.restoreStreams()
      await ensureConsumer()
    }
    const consumer = await js.consumers.get(stream, durable)
    return await consumer.consume({ max_messages: 50, idle_heartbeat: 5000, expires: 30_000 })
  }

  const ended = new Promise<undefined>((resolve) => {
    closing.signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })

  async function run(): Promise<void> {
    let isFirst = true
    while (!closing.signal.aborted) {
      try {
        const opening = open(isFirst)
        isFirst = false
        // A server that is away lets the opening wait for seconds; the end does not wait with it.
        messages = await Promise.race([opening, ended])
        if (!messages) {
          opening.then(
            (late) => late.stop(),
            () => {},
          )
          return
        }
        void endWhenStale(messages)
        if (!closing.signal.aborted) for await (const message of messages) await handleOne(message)
      } catch (error) {
        if (!closing.signal.aborted)
          log.warn({ err: error, event: event.name }, 'an event consumer stopped; starting it again')
      }
      messages?.stop()
      await delay(250, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  const reconnecting = wiring.onConnection((connected) => {
    if (connected) messages?.stop()
  })
  const running = run()
  return {
    async close() {
      closing.abort()
      await reconnecting.close()
      messages?.stop()
      await running
    },
  }
}
