import type { Static, TObject } from 'typebox'

/**
 * Domain events: ids and facts, never database documents or secrets. The name is the NATS subject below the namespace and
 * ends in its version; a published version never changes (libs/contracts/test/frozen-events.test.ts guards it),
 * a change is a new version beside it. Delivered at least once; consumers are idempotent by event id.
 */
export interface EventType<T extends TObject = TObject> {
  readonly name: string
  readonly schema: T
  readonly summary: string
}

const subject = /^[a-z]+\.[a-z-]+\.v\d+$/

export function event<T extends TObject>(name: string, summary: string, schema: T): EventType<T> {
  if (!subject.test(name)) throw new Error(`event name ${name} is not <noun>.<fact>.v<number>`)
  const made = Object.freeze({ name, summary, schema })
  declared.add(made)
  return made
}

const declared = new WeakSet<object>()

export const isEvent = (value: unknown): value is EventType =>
  typeof value === 'object' && value !== null && declared.has(value)

export type Payload<E extends EventType> = Static<E['schema']>

/** What travels: the payload with its envelope. `id` is unique per event, `at` in milliseconds. */
export interface EventEnvelope<T = unknown> {
  id: string
  name: string
  at: number
  /** Key whose events keep their order. */
  aggregate: string
  data: T
}

/**
 * A JetStream stream: the subjects it keeps and for how long (seconds). The publishing service creates it.
 * Consumers are durable and named `<service>-<subject with dashes>`.
 */
export interface StreamSpec {
  readonly name: string
  readonly nouns: readonly string[]
  readonly maxAgeSeconds: number
}

const week = 7 * 86_400

export const streams = {
  user: { name: 'user', nouns: ['user', 'session', 'password', 'settings', 'config'], maxAgeSeconds: week },
  message: { name: 'message', nouns: ['message', 'presence'], maxAgeSeconds: week },
  /** Events a consumer could not handle, under `dead.<service>.<subject>`, for operators. */
  dead: { name: 'dead', nouns: ['dead'], maxAgeSeconds: 30 * 86_400 },
} as const satisfies Record<string, StreamSpec>

/** The stream an event is kept in. */
export function streamOf(event: EventType): StreamSpec {
  const noun = event.name.slice(0, event.name.indexOf('.'))
  const found = Object.values(streams).find((stream) => (stream.nouns as readonly string[]).includes(noun))
  if (!found) throw new Error(`no stream keeps ${event.name}: add its noun to a stream in events.ts`)
  return found
}
