import { randomBytes } from 'node:crypto'
import { type EventType, type Payload, streamOf } from '@im/contracts'
import type { Bus } from '../events/bus.ts'
import { connectBus } from '../events/connect-bus.ts'
import { aggregateKey } from '../events/partition.ts'
import { createLogger } from '../logs.ts'

/** Publishes events in the name of other services, until the end of the test. */
export function eventPublisher(
  t: { after(end: () => Promise<unknown>): unknown },
  env: Record<string, string>,
): <E extends EventType>(event: E, aggregate: string | number, payload: Payload<E>) => Promise<void> {
  const buses = new Map<string, Promise<Bus>>()
  const sequences = new Map<string, number>()
  const { NATS_URL: url = '', NAMESPACE: namespace = '' } = env
  const log = createLogger({ service: 'test', level: 'error', format: 'json' })
  t.after(async () => {
    for (const bus of buses.values()) await (await bus).close()
  })
  return async ({ name }, aggregate, data) => {
    const { service } = streamOf(name)
    const bus = buses.get(service) ?? connectBus({ url, namespace, replicas: 1, service, log })
    buses.set(service, bus)
    const about = { name, aggregate: String(aggregate) }
    const sequence = (sequences.get(aggregateKey(about)) ?? 0) + 1
    sequences.set(aggregateKey(about), sequence)
    await (await bus).publish({ ...about, id: randomBytes(16).toString('hex'), at: Date.now(), sequence, data })
  }
}
