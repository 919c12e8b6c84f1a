import { crc32 } from 'node:zlib'
import { type StreamSpec, streamOf } from '@im/contracts'

/** The partition that keeps the events of an aggregate. */
export const partitionOf = (stream: StreamSpec, aggregate: string): number => crc32(aggregate) % stream.partitions

/** `<namespace>.<stream>.<partition>.<event>`: the consumer of a partition filters by it. */
export function subjectOf(namespace: string, event: { name: string; aggregate: string }): string {
  const stream = streamOf(event.name)
  return `${namespace}.${stream.name}.${partitionOf(stream, event.aggregate)}.${event.name}`
}

/** A key for an aggregate that is unique over all streams. */
export const aggregateKeyIn = (stream: StreamSpec, aggregate: string): string => `${stream.name}/${aggregate}`

/** The same for what was handled: each projection counts for itself. */
export const handledKey = (key: string, projection: string | undefined): string =>
  projection === undefined ? key : `${key}@${projection}`

export const aggregateKey = (event: { name: string; aggregate: string }): string =>
  aggregateKeyIn(streamOf(event.name), event.aggregate)
