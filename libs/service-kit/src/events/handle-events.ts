import { crc32 } from 'node:zlib'
import { type StreamSpec, streamOf } from '@im/contracts'
import type { Db } from 'mongodb'
import type { Logger } from '../logs.ts'
import type { Registry } from '../metrics.ts'
import type { Replicas } from '../replicas.ts'
import type { Tracing } from '../tracing.ts'
import type { Bus } from './bus.ts'
import { CatchUps } from './catch-ups.ts'
import type { EventHandler } from './event-handler.ts'
import { type EventMetrics, eventMetrics } from './event-metrics.ts'
import { ShardHandling, touchEvery } from './handle-shard.ts'
import type { Outbox } from './outbox.ts'
import { Sequences } from './sequences.ts'
import { type ReadState, type Shard, Shards } from './shards.ts'

/** What the handling of events needs. */
export interface EventWiring {
  bus: Bus
  outbox: Outbox
  log: Logger
  shards: Shards
  catchUps: CatchUps
  handled: Sequences
  /** By the name of the event. Several handlers of one event are all transactional. */
  handlers: ReadonlyMap<string, readonly EventHandler[]>
  metrics: EventMetrics
  tracing: Tracing | undefined
}

/** How long (ms) a replica without NATS keeps its partitions: mostly NATS itself is away, for all of them. */
const leavesAfter = 3000

/** The work that replicas which handle events of a stream share. Those of another build may handle other streams. */
export const readingTask = ({ name }: StreamSpec): string => `events ${name}`

/**
 * Handles the events of a service. The partitions are shared out evenly over its living replicas, and each is read in order by
 * one of them. A service calls this once, with all its handlers.
 */
export function handleEvents(
  runtime: {
    db: Db
    bus: Bus
    outbox: Outbox
    replicas: Replicas
    log: Logger
    metrics: Registry
    tracing?: Tracing | undefined
  },
  handlers: readonly EventHandler[],
): { close(): Promise<void> } {
  const { db, bus, outbox, replicas, log } = runtime
  const shards = new Shards(db, replicas.id)
  const wiring: EventWiring = {
    bus,
    outbox,
    log,
    shards,
    catchUps: new CatchUps(db),
    handled: new Sequences(db, 'handled_sequences'),
    handlers: byName(handlers),
    metrics: eventMetrics(runtime.metrics),
    tracing: runtime.tracing,
  }
  const all = shardsOf(handlers)
  const tasks = [...new Set(all.map(({ stream }) => readingTask(stream)))]
  const offerAll = () => tasks.map((task) => replicas.offer(task))
  let offers = offerAll()
  const running = new Map<string, { handling: ShardHandling; stop(): void; ended: Promise<void> }>()
  let sharing: Promise<void> | undefined

  /** All replicas that see the same ones alive agree on this. While they don't, the owner in the database decides. */
  const isMine = ({ stream, partition }: Shard): boolean => {
    const readers = replicas.sharing(readingTask(stream))
    return readers[(crc32(stream.name) + partition) % readers.length] === replicas.id
  }

  async function share(): Promise<void> {
    if (!replicas.isAlive) {
      for (const shard of running.values()) shard.stop()
      return
    }
    for (const shard of all) if (!isMine(shard)) running.get(shard.id)?.stop()
    const wanted = all.filter((shard) => isMine(shard) && !running.has(shard.id))
    if (!wanted.length) return
    const owners = await shards.ownersOf(wanted.map(({ id }) => id))
    const isGone = await Promise.all(
      [...new Set(owners.values())].map(
        async (owner) => [owner, owner === replicas.id || (await replicas.isGone(owner))] as const,
      ),
    )
    const gone = new Map(isGone)
    const free = wanted.flatMap(({ id }) => {
      const from = owners.get(id)
      return from === undefined || gone.get(from) ? [{ id, from }] : []
    })
    if (!free.length) return
    const taken = await shards.take(free)
    if (!replicas.isAlive) return
    for (const shard of wanted) {
      const state = taken.get(shard.id)
      if (state) start(shard, state)
    }
  }

  function start(shard: Shard, state: ReadState): void {
    const stopped = new AbortController()
    const handling = new ShardHandling(wiring, shard, state, stopped.signal)
    const ended = handling
      .run()
      .then(() => shards.release(shard.id))
      .catch((error) => log.warn({ err: error, shard: shard.id }, 'a shard was not given back'))
      .finally(() => running.delete(shard.id))
    running.set(shard.id, { handling, stop: () => stopped.abort(), ended })
  }

  /** Runs one round at a time. A beat during a round starts none, because the next beat comes soon. */
  function shareAgain(): void {
    if (sharing) return
    sharing = share()
      .catch((error) => log.debug({ err: error }, 'the shards could not be shared out'))
      .finally(() => {
        sharing = undefined
      })
  }

  /** Renews the time of positions at the end of their stream; else they would count as older than the stream remembers. */
  async function touchIdle(): Promise<void> {
    const idle = [...running].filter(([, { handling }]) => handling.isIdle)
    await Promise.allSettled(idle.map(([id]) => shards.touch(id)))
  }

  function withdrawAll(): void {
    for (const offer of offers.splice(0)) offer.withdraw()
  }

  /** A replica that alone has lost NATS for a while leaves its partitions to the others. */
  let leaving: NodeJS.Timeout | undefined
  const connection = bus.onConnection((connected) => {
    clearTimeout(leaving)
    if (connected) {
      if (!offers.length) offers = offerAll()
      shareAgain()
    } else
      leaving = setTimeout(() => {
        withdrawAll()
        shareAgain()
      }, leavesAfter).unref()
  })

  const touching = setInterval(() => void touchIdle(), touchEvery).unref()
  const watching = replicas.watch(shareAgain)
  shareAgain()
  return {
    async close() {
      clearTimeout(leaving)
      connection.close()
      withdrawAll()
      clearInterval(touching)
      watching.close()
      // What a round of the moment has taken is read, too, and given back.
      await sharing
      for (const shard of running.values()) shard.stop()
      await Promise.all([...running.values()].map(({ ended }) => ended))
    },
  }
}

function byName(handlers: readonly EventHandler[]): Map<string, readonly EventHandler[]> {
  const named = Map.groupBy(handlers, ({ event }) => event.name)
  for (const [name, ofEvent] of named) {
    const projections = ofEvent.map((handler) => handler.transactional && (handler.projection?.name ?? ''))
    if (new Set(projections).size < ofEvent.length || (ofEvent.length > 1 && projections.includes(false)))
      throw new Error(`${name} has two handlers`)
    for (const handler of ofEvent)
      if (handler.transactional && handler.projection && handler.projection.stream.name !== streamOf(name).name)
        throw new Error(`${name} is not in the stream of ${handler.projection.name}`)
  }
  return named
}

function shardsOf(handlers: readonly EventHandler[]): Shard[] {
  const streams = new Map<string, StreamSpec>()
  for (const { event } of handlers) streams.set(streamOf(event.name).name, streamOf(event.name))
  return [...streams.values()]
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((stream) =>
      Array.from({ length: stream.partitions }, (_, partition) => ({
        id: `${stream.name}/${partition}`,
        stream,
        partition,
      })),
    )
}
