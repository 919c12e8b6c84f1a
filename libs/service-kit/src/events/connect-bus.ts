import { deadLetters, type EventEnvelope, type Payload, streamOf } from '@im/contracts'
import { type JetStreamManager, jetstream, jetstreamManager, type StreamInfo } from '@nats-io/jetstream'
import {
  AuthorizationError,
  connect,
  headers,
  InvalidArgumentError,
  type NatsConnection,
  RequestError,
} from '@nats-io/transport-node'
import { GatheredQuestions } from '../gathered-questions.ts'
import type { Logger } from '../logs.ts'
import { hostsOf, StartError } from '../start-error.ts'
import { StoreAwayError } from '../store-away.ts'
import { traceHeader } from '../tracing.ts'
import { within } from '../within.ts'
import type { Bus, Subscription } from './bus.ts'
import { natsServers } from './nats-servers.ts'
import { subjectOf } from './partition.ts'
import { readPartition } from './read-partition.ts'
import { ensureStreams } from './streams.ts'

/** How long (ms) one request to NATS may take. */
const requestTimeout = 3000
const flushTimeout = 2000
/** How often the server is pinged (ms). The connection counts as lost when two pings in a row are not answered. */
const pingInterval = 2000

/**
 * Connects to NATS; keeps reconnecting for ever. Creates the streams of the service. Throws StartError when the server is away,
 * refuses us, or has no JetStream.
 */
export async function connectBus(options: {
  url: string
  namespace: string
  replicas: number
  service: string
  log: Logger
}): Promise<Bus> {
  const { namespace, service, log } = options
  const connection = await connect({
    ...natsServers(options.url),
    name: `im-${service}`,
    maxReconnectAttempts: -1,
    // When its password is changed it refuses us until this process is started with the new one; all would end at once.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: 250,
    timeout: 2000,
    pingInterval,
    maxPingOut: 2,
    // Recording a stack costs more than the request itself, and StoreAwayError has one.
    noAsyncTraces: true,
  }).catch((error: Error) => {
    throw explained(error, options.url)
  })
  const manager = await openStreams(connection, options)
  const js = jetstream(connection, { timeout: requestTimeout })
  /** Partitions of a stream that begin to be read at the same moment ask for it once. */
  const streamInfos = new GatheredQuestions<string, PromiseSettledResult<StreamInfo>>((names) => {
    const asked = new Map([...new Set(names)].map((name) => [name, manager.streams.info(name)]))
    return Promise.allSettled(names.map((name) => asked.get(name) as Promise<StreamInfo>))
  })
  const infoOf = async (stream: string): Promise<StreamInfo> => {
    const answer = await streamInfos.ask(stream)
    if (answer?.status === 'fulfilled') return answer.value
    throw answer?.reason
  }
  const watchers = new Set<(connected: boolean) => void>()
  let connected = true
  let isClosing = false
  void watchConnection(connection, {
    notify(now) {
      connected = now
      for (const handle of watchers) handle(now)
    },
    refused: () => log.error(`${refusal(options.url)}: start this process with those that it has now`),
  })
  let restoring: Promise<void> | undefined

  /** Creates the streams again, because a server that lost its disk comes back without them. */
  function restoreStreams(): Promise<void> {
    restoring ??= ensureStreams(manager, options)
      .catch((error) => log.warn({ err: error }, 'the streams could not be restored'))
      .finally(() => {
        restoring = undefined
      })
    return restoring
  }

  /** Throws without a connection: the client would keep each try in memory and send them all later. */
  function demandConnection(): void {
    if (!connected) throw new StoreAwayError('NATS', 'no connection')
  }

  /** Every failure becomes a StoreAwayError, except that of a message that is larger than the server takes now. */
  async function request<T>(work: () => Promise<T>): Promise<T> {
    demandConnection()
    try {
      return await work()
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw error
      // No stream has the subject. The caller tries again.
      if (hasNoResponders(error as Error)) await restoreStreams()
      throw new StoreAwayError('NATS', (error as Error).message, { cause: error })
    }
  }

  async function store(subject: string, data: string | Uint8Array, msgID: string, traceParent?: string): Promise<void> {
    const more = traceParent ? { headers: headers() } : {}
    if (traceParent) more.headers?.set(traceHeader, traceParent)
    await request(() => js.publish(subject, data, { msgID, ...more }))
  }

  const onConnection: Bus['onConnection'] = (handle) => {
    watchers.add(handle)
    if (!connected) handle(false)
    return { close: async () => void watchers.delete(handle) }
  }

  return {
    service,
    // Leaves room for the subject and the headers.
    maxEventBytes: (connection.info?.max_payload ?? 1_048_576) - 1024,
    publish: (envelope, traceParent) =>
      store(subjectOf(namespace, envelope), JSON.stringify(envelope), envelope.id, traceParent),
    read: ({ stream, partition, after, events }) =>
      readPartition({
        js,
        manager,
        infoOf,
        stream: `${namespace}_${stream.name}`,
        subjects: filters(connection, `${namespace}.${stream.name}.${partition}`, events),
        after,
        onConnection,
      }),
    async park({ subject, data, position, envelope }) {
      const name = subject.split('.').slice(-3).join('.')
      const id = envelope?.id ?? `${position.stream}-${position.sequence}`
      await store(`${namespace}.${deadLetters.name}.${service}.${name}`, data, `${service}-${id}`)
    },
    async broadcast(event, payload) {
      demandConnection()
      connection.publish(`${namespace}.broadcast.${event.name}`, JSON.stringify(payload))
      await within(flushTimeout, 'NATS', connection.flush())
    },
    listen: (event, handle) =>
      plainSubscription(connection, `${namespace}.broadcast.${event.name}`, (text) => handle(JSON.parse(text)), log),
    hear: (event, handle) =>
      plainSubscription(
        connection,
        `${namespace}.${streamOf(event.name).name}.*.${event.name}`,
        (text) => {
          const envelope = JSON.parse(text) as EventEnvelope<Payload<typeof event>>
          handle(envelope.data, envelope)
        },
        log,
      ),
    tell(topic, text) {
      if (!connected || connection.isClosed()) return
      try {
        connection.publish(`${namespace}.tell.${service}.${topic}`, text)
      } catch (error) {
        // Whoever tells does not fail by it: nobody is sure to hear it.
        log.error({ err: error, topic, characters: text.length }, 'replicas could not be told')
      }
    },
    onTell: (topic, handle) => plainSubscription(connection, `${namespace}.tell.${service}.${topic}`, handle, log),
    wake(topic) {
      if (connected && !connection.isClosed()) connection.publish(`${namespace}.wake.${topic}`)
    },
    onWake: (topic, handle) => plainSubscription(connection, `${namespace}.wake.${topic}`, handle, log),
    onConnection,
    failed: connection.closed().then((reason) => {
      // Never settles, because closing the connection ourselves is no failure.
      if (isClosing) return new Promise<never>(() => {})
      return new StoreAwayError('NATS', 'the connection was closed for good', { cause: reason })
    }),
    async ping() {
      demandConnection()
      await within(flushTimeout, 'NATS', connection.flush())
    },
    async close() {
      isClosing = true
      // Draining waits for the server, so it is skipped while the server is away.
      await within(connected ? 3000 : 0, 'NATS', connection.drain()).catch(() => connection.close())
    },
  }
}

async function openStreams(
  connection: NatsConnection,
  options: { url: string; namespace: string; replicas: number; service: string; log: Logger },
): Promise<JetStreamManager> {
  try {
    const manager = await jetstreamManager(connection, { timeout: requestTimeout })
    await ensureStreams(manager, options)
    return manager
  } catch (error) {
    await connection.close()
    if (error instanceof StartError) throw error
    const { message } = error as Error
    const advice = 'it needs JetStream (-js), and as many servers as NATS_REPLICAS says'
    throw new StartError(`NATS at ${hostsOf(options.url)} can't keep events (${message}): ${advice}`, { cause: error })
  }
}

function explained(error: Error, url: string): StartError {
  const why = { cause: error }
  return error instanceof AuthorizationError
    ? new StartError(refusal(url), why)
    : new StartError(`${nameOf(url)} does not answer (${error.message}): start it, or correct NATS_URL`, why)
}

const nameOf = (url: string) => `NATS at ${hostsOf(url.split(',')[0] ?? url)}`
const refusal = (url: string) => `${nameOf(url)} refuses the user or the password of NATS_URL`

/** The subjects a consumer filters by. Servers before 2.10 accept a single filter, so other events come too. */
function filters(connection: NatsConnection, prefix: string, events: readonly string[]): string[] {
  const [major = 0, minor = 0] = (connection.info?.version ?? '').split('.').map(Number)
  const knowsMany = major > 2 || (major === 2 && minor >= 10)
  return events.length === 1 || knowsMany ? events.map((name) => `${prefix}.${name}`) : [`${prefix}.>`]
}

/** The client reports "JetStream is not enabled" when no stream took the message. */
const hasNoResponders = ({ cause }: Error) => cause instanceof RequestError && cause.isNoResponders()

/** `refused` is called once for all refusals between two connections. */
async function watchConnection(
  connection: NatsConnection,
  { notify, refused }: { notify: (connected: boolean) => void; refused: () => void },
): Promise<void> {
  let isRefused = false
  for await (const status of connection.status()) {
    if (status.type === 'disconnect') notify(false)
    if (status.type === 'error' && status.error instanceof AuthorizationError) {
      if (!isRefused) refused()
      isRefused = true
    }
    if (status.type === 'reconnect') {
      isRefused = false
      notify(true)
    }
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
