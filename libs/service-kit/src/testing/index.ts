import { randomBytes } from 'node:crypto'
import { type ErrorName, type EventEnvelope, type EventType, errors, type Payload } from '@im/contracts'
import type { Bus, EventHandler } from '../bus.ts'

export * from './eventually.ts'
export * from './free-port.ts'
export * from './namespace.ts'
export * from './own-servers.ts'
export * from './record-events.ts'
export * from './slow-proxy.ts'
export * from './start-service.ts'
export * from './test-client.ts'

/** What `t.rejects` and `t.throws` take: the error of the table with this name. */
export const failure = (name: ErrorName): { code: number } => ({ code: errors[name].code })

/** A bus that keeps what is published and hands events to its subscribers when told to. */
export function recordedBus(): Bus & {
  of<E extends EventType>(event: E): Payload<E>[]
  deliver<E extends EventType>(event: E, payload: Payload<E>, id?: string): Promise<void>
} {
  const published: EventEnvelope[] = []
  const subscribers: EventHandler[] = []
  const listeners = new Map<string, ((payload: never) => void)[]>()
  const nothing = { close: async () => {} }
  return {
    async publish(envelope) {
      if (!published.some((known) => known.id === envelope.id)) published.push(envelope)
    },
    async subscribe(handlers) {
      subscribers.push(...handlers)
      return nothing
    },
    async broadcast(event, payload) {
      for (const handle of listeners.get(event.name) ?? []) handle(payload as never)
    },
    listen(event, handle) {
      listeners.set(event.name, [...(listeners.get(event.name) ?? []), handle as never])
      return nothing
    },
    wake() {},
    onWake: () => nothing,
    onConnection: () => nothing,
    async ping() {},
    async close() {},
    of: (event) => published.filter(({ name }) => name === event.name).map(({ data }) => data as never),
    async deliver(event, payload, id = randomBytes(16).toString('hex')) {
      for (const { handle } of subscribers.filter((subscriber) => subscriber.event.name === event.name))
        await handle(payload as never, { id, name: event.name, at: Date.now(), aggregate: '', data: payload } as never)
    },
  }
}
