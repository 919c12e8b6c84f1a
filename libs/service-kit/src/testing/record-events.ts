import { type EventType, type Payload, streamOf } from '@im/contracts'
import { connectBus } from '../events/connect-bus.ts'
import { type EventHandler, on } from '../events/event-handler.ts'
import { createLogger } from '../logs.ts'

type Test = { after(end: () => Promise<unknown>): unknown }

/** Handles events, past ones too, like a further service that stores nothing, until the end of the test. */
export async function observeEvents(
  t: Test,
  env: Record<string, string>,
  handlers: readonly EventHandler[],
): Promise<void> {
  const log = createLogger({ service: 'observer', level: 'error', format: 'json' })
  const { NATS_URL: url = '', NAMESPACE: namespace = '' } = env
  const bus = await connectBus({ url, namespace, replicas: 1, service: 'observer', log })
  t.after(() => bus.close())
  const named = new Map(handlers.map((handler) => [handler.event.name, handler]))
  const streams = new Set([...named.keys()].map(streamOf))
  for (const stream of streams) {
    const events = [...named.keys()].filter((name) => streamOf(name) === stream)
    for (let partition = 0; partition < stream.partitions; partition++) {
      const reader = await bus.read({ stream, partition, after: undefined, events })
      t.after(async () => reader.close())
      void (async () => {
        for await (const batch of reader.batches(100))
          for (const { envelope } of batch) {
            const handler = envelope && named.get(envelope.name)
            if (handler && !handler.transactional) await handler.handle([envelope as never])
          }
      })()
    }
  }
}

/** The payloads of one event, published before and from now on. The list grows until the end of the test. */
export async function recordEvents<E extends EventType>(
  t: Test,
  env: Record<string, string>,
  event: E,
): Promise<Payload<E>[]> {
  const seen: Payload<E>[] = []
  await observeEvents(t, env, [on(event, async (payload) => seen.push(payload))])
  return seen
}
