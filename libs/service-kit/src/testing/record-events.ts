import type { EventType, Payload } from '@im/contracts'
import { type EventHandler, on } from '../bus.ts'
import { connectBus } from '../connect-bus.ts'
import { createLogger } from '../logs.ts'
import { createMetrics } from '../metrics.ts'

let observers = 0

type Test = { after(end: () => Promise<unknown>): unknown }

/** Subscribes as one more service, until the end of the test. */
export async function observeEvents(t: Test, env: Record<string, string>, handlers: EventHandler[]): Promise<void> {
  const service = `observer${++observers}`
  const log = createLogger({ service, level: 'error', format: 'json' })
  const { NATS_URL: url = '', NAMESPACE: namespace = '' } = env
  const bus = await connectBus({ url, namespace, replicas: 1, service, log, metrics: createMetrics(service) })
  t.after(() => bus.close())
  await bus.subscribe(handlers)
}

/** Everything of one event that is published from now on and was before. */
export async function recordEvents<E extends EventType>(
  t: Test,
  env: Record<string, string>,
  event: E,
): Promise<Payload<E>[]> {
  const seen: Payload<E>[] = []
  await observeEvents(t, env, [on(event, async (payload) => seen.push(payload as Payload<E>))])
  return seen
}
