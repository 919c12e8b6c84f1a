import type { Static, TObject } from 'typebox'
import type { ServiceName } from './contract.ts'

/**
 * A domain event holds ids and facts, never database documents or secrets. Its name ends in a version and is the end of the
 * NATS subject. A published version never changes (libs/contracts/test/frozen-events.test.ts); a change is a new version beside
 * it. Events are delivered at least once; the sequence number of the aggregate shows repetitions.
 */
export interface EventType<T extends TObject = TObject> {
  readonly name: string
  readonly schema: T
  readonly summary: string
}

const eventName = /^[a-z]+\.[a-z-]+\.v\d+$/

export function event<T extends TObject>(name: string, summary: string, schema: T): EventType<T> {
  if (!eventName.test(name)) throw new Error(`event name ${name} is not <noun>.<fact>.v<number>`)
  streamOf(name)
  const made = Object.freeze({ name, summary, schema })
  declared.add(made)
  return made
}

const declared = new WeakSet<object>()

export const isEvent = (value: unknown): value is EventType =>
  typeof value === 'object' && value !== null && declared.has(value)

export type Payload<E extends EventType> = Static<E['schema']>

/** An event as it is sent: the payload in its envelope. `id` is unique, `at` is in milliseconds. */
export interface EventEnvelope<T = unknown> {
  id: string
  name: string
  at: number
  /** The thing that the event is about. Events of one aggregate in one stream keep their order, whatever their names. */
  aggregate: string
  /** Rises in the order in which the changes of the aggregate were committed, and is about the time (ms). Compare, never count. */
  sequence: number
  data: T
}

/** A JetStream stream: the events that it keeps, and for how long (seconds). Its service creates it and publishes to it. */
export interface StreamSpec {
  readonly name: string
  readonly service: ServiceName
  readonly nouns: readonly string[]
  readonly maxAgeSeconds: number
  /**
   * All events of one aggregate are in one partition, and each partition is read by one replica at a time. The number must not
   * change: aggregates would move to other partitions, and new events could overtake old ones.
   */
  readonly partitions: number
}

const week = 7 * 86_400

export const streams = {
  user: {
    name: 'user',
    service: 'user',
    nouns: ['user', 'session', 'password', 'settings'],
    maxAgeSeconds: week,
    partitions: 8,
  },
  social: {
    name: 'social',
    service: 'social',
    nouns: ['friend', 'blacklist', 'label'],
    maxAgeSeconds: week,
    partitions: 8,
  },
  room: {
    name: 'room',
    service: 'room',
    nouns: ['room', 'member', 'share', 'notice'],
    maxAgeSeconds: week,
    partitions: 8,
  },
  org: { name: 'org', service: 'org', nouns: ['company'], maxAgeSeconds: week, partitions: 8 },
  config: { name: 'config', service: 'user', nouns: ['config'], maxAgeSeconds: week, partitions: 1 },
  message: { name: 'message', service: 'message', nouns: ['message'], maxAgeSeconds: week, partitions: 8 },
  presence: { name: 'presence', service: 'message', nouns: ['presence'], maxAgeSeconds: week, partitions: 8 },
} as const satisfies Record<string, StreamSpec>

/** Events that a service could not handle, under `dead.<service>.<event>`, for operators. */
export const deadLetters = { name: 'dead', maxAgeSeconds: 30 * 86_400 } as const

function findStream(eventName: string): StreamSpec | undefined {
  const noun = eventName.slice(0, eventName.indexOf('.'))
  return Object.values(streams).find((stream) => (stream.nouns as readonly string[]).includes(noun))
}

/** False for events that were deleted from the contracts. */
export const hasStream = (eventName: string): boolean => findStream(eventName) !== undefined

/** The stream that keeps events of this name. Throws where none does. */
export function streamOf(eventName: string): StreamSpec {
  const found = findStream(eventName)
  if (!found) throw new Error(`no stream keeps ${eventName}: add its noun to a stream in events.ts`)
  return found
}
