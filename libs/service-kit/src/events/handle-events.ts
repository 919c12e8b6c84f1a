import { type StreamSpec, streamOf } from '@im/contracts'
import type { Db } from 'mongodb'
import type { Logger } from '../logs.ts'
import type { Registry } from '../metrics.ts'
import type { Replicas } from '../replicas.ts'
import type { Bus } from './bus.ts'
import { CatchUps } from './catch-ups.ts'
import type { EventHandler } from './event-handler.ts'
import { type EventMetrics, eventMetrics } from './event-metrics.ts'
import { ShardHandling } from './handle-shard.ts'
import type { Outbox } from './outbox.ts'
import { Sequences } from './sequences.ts'
import { type Shard, Shards } from './shards.ts'

/** What the handling of events needs. */
export interface EventWiring {
  bus: Bus
  outbox: Outbox
  log: Logger
  shards: Shards
  catchUps: CatchUps
  handled: Sequences
  handlers: ReadonlyMap<string, EventHandler>
  metrics: EventMetrics
}

const task = 'events'
const touchEvery = 3_600_000

/**
 * Handles the events of a service. The partitions are shared out evenly over its living replicas, and each is read in order by
 * one of them. A service calls this once, with all its handlers.
 */
export function handleEvents(
  runtime: { db: Db; bus: Bus; outbox: Outbox; replicas: Replicas; log: Logger; metrics: Registry },
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
  }
  const all = shardsOf(handlers)
  const offer = replicas.offer(task)
  const running = new Map<string, { handling: ShardHandling; stop(): void; ended: Promise<void> }>()
  let isClosing = false
  let sharing: Promise<void> | undefined

  /** All replicas that see the same ones alive agree on this. While they don't, the owner in the database decides. */
  const isMine = (index: number): boolean => {
    const readers = replicas.sharing(task)
    return readers[index % readers.length] === replicas.id
  }

  async function share(): Promise<void> {
    if (!replicas.isAlive) {
      for (const shard of running.values()) shard.stop()
      return
    }
    for (const [index, shard] of all.entries()) if (!isMine(index)) running.get(shard.id)?.stop()
    const wanted = all.filter((shard, index) => isMine(index) && !running.has(shard.id))
    if (!wanted.length) return
    const found = await shards.find(wanted.map(({ id }) => id))
    await Promise.all(wanted.map((shard) => takeOver(shard, found.get(shard.id)?.owner)))
  }

  async function takeOver(shard: Shard, owner: string | undefined): Promise<void> {
    const isOwn = owner === replicas.id
    if (!isOwn && owner !== undefined && !(await replicas.isGone(owner))) return
    if (!isOwn && !(await shards.take(shard.id, owner))) return
    if (isClosing || !replicas.isAlive) return
    start(shard)
  }

  function start(shard: Shard): void {
    const stopped = new AbortController()
    const handling = new ShardHandling(wiring, shard, stopped.signal)
    const ended = handling
      .run()
      .then(() => shards.release(shard.id))
      .catch((error) => log.warn({ err: error, shard: shard.id }, 'a shard was not given back'))
      .finally(() => running.delete(shard.id))
    running.set(shard.id, { handling, stop: () => stopped.abort(), ended })
  }

  /** Runs one round at a time. A beat during a round starts none, because the next beat comes soon. */
  function shareAgain(): void {
    if (isClosing || sharing) return
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

  const touching = setInterval(() => void touchIdle(), touchEvery).unref()
  const watching = replicas.watch(shareAgain)
  shareAgain()
  return {
    async close() {
      isClosing = true
      offer.withdraw()
      clearInterval(touching)
      watching.close()
      await sharing
      for (const shard of running.values()) shard.stop()
      await Promise.all([...running.values()].map(({ ended }) => ended))
    },
  }
}

function byName(handlers: readonly EventHandler[]): Map<string, EventHandler> {
  const named = new Map(handlers.map((handler) => [handler.event.name, handler]))
  if (named.size !== handlers.length) throw new Error('an event has two handlers')
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
