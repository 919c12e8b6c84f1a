import { setTimeout as delay } from 'node:timers/promises'
import { type EventEnvelope, type EventType, type Payload, streamOf } from '@im/contracts'
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { Bus, EventHandler, Subscription } from './bus.ts'
import { isTransient } from './http/failures.ts'
import type { Logger } from './logs.ts'
import { Counter, Histogram, type Registry } from './metrics.ts'

const backOff = (attempt: number) => Math.min(100 * 2 ** attempt, 5000)

export function consumerMetrics(registry: Registry) {
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

/** A durable consumer of one event: in order, one at a time over all replicas, with a dead-letter subject for poison. */
export async function consume(wiring: {
  js: JetStreamClient
  manager: JetStreamManager
  namespace: string
  log: Logger
  service: string
  subscribing: EventHandler
  consumers: ReturnType<typeof consumerMetrics>
  onConnection: Bus['onConnection']
  restoreStreams: () => Promise<void>
}): Promise<Subscription> {
  const { js, manager, namespace, log, service, subscribing, consumers } = wiring
  const { event } = subscribing
  const stream = `${namespace}_${streamOf(event).name}`
  const durable = `${service}-${event.name.replaceAll('.', '-')}`
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
      const envelope = message.json<EventEnvelope<Payload<EventType>>>()
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
    await js.publish(`${namespace}.dead.${service}.${event.name}`, message.data, {
      msgID: `${service}-${id}`,
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
