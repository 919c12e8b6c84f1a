import { deadLetters, type StreamSpec, streams } from '@im/contracts'
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { Logger } from '../logs.ts'

/** Publishing an event again within this time (ms) stores nothing. */
const duplicateWindow = 120_000

/**
 * Creates the streams of a service and that of dead letters, and gives them their present settings. Throws when the server
 * refuses: a stream with fewer replicas than asked for would lose events that were acknowledged.
 */
export async function ensureStreams(
  manager: JetStreamManager,
  options: { namespace: string; replicas: number; service: string; log: Logger },
): Promise<void> {
  const { namespace, replicas, service, log } = options
  const own = Object.values<StreamSpec>(streams).filter((stream) => stream.service === service)
  const wanted = [
    ...own.map(({ name, maxAgeSeconds }) => ({ name, maxAgeSeconds, subject: `${namespace}.${name}.*.>` })),
    { ...deadLetters, subject: `${namespace}.${deadLetters.name}.>` },
  ]
  // One after the other: a stream may have to give up a subject before another can take it.
  for (const { name, maxAgeSeconds, subject } of wanted) {
    await ensureStream(manager, `${namespace}_${name}`, {
      subjects: [subject],
      max_age: nanos(maxAgeSeconds * 1000),
      num_replicas: replicas,
      duplicate_window: nanos(duplicateWindow),
    })
    await demandReplicas(manager, `${namespace}_${name}`, replicas)
    await deleteDurables(manager, `${namespace}_${name}`, log)
  }
}

/** Services read with consumers that end with them. Durable ones are left over from builds that had one for each event. */
async function deleteDurables(manager: JetStreamManager, stream: string, log: Logger): Promise<void> {
  for await (const { config, num_pending: unread, num_ack_pending: unfinished } of manager.consumers.list(stream)) {
    if (!config.durable_name) continue
    const waiting = unread + unfinished
    log[waiting ? 'error' : 'info']({ stream, consumer: config.durable_name, waiting }, 'deleting an old consumer')
    await manager.consumers.delete(stream, config.durable_name)
  }
}

/** A single server accepts more replicas for an existing stream, and still keeps one. */
async function demandReplicas(manager: JetStreamManager, name: string, replicas: number): Promise<void> {
  if (replicas === 1) return
  const { cluster } = await manager.streams.info(name)
  const copies = 1 + (cluster?.replicas?.length ?? 0)
  if (copies < replicas)
    throw new Error(`${name} has ${copies} of the ${replicas} replicas that NATS_REPLICAS asks for`)
}

type Settings = Pick<StreamConfig, 'subjects' | 'max_age' | 'num_replicas' | 'duplicate_window'>

async function ensureStream(manager: JetStreamManager, name: string, settings: Settings): Promise<void> {
  const existing = await settingsOf(manager, name)
  if (!existing) {
    const fixed = { name, storage: StorageType.File, retention: RetentionPolicy.Limits }
    try {
      await manager.streams.add({ ...fixed, ...settings })
      return
    } catch (error) {
      // Another replica may have created it in the same moment.
      if (!(await settingsOf(manager, name))) throw error
      return await ensureStream(manager, name, settings)
    }
  }
  const differs = Object.entries(settings).some(
    ([setting, value]) => JSON.stringify(existing[setting as keyof Settings]) !== JSON.stringify(value),
  )
  if (differs) await manager.streams.update(name, { ...existing, ...settings })
}

/** Undefined when there is no such stream. */
async function settingsOf(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config
  } catch (error) {
    if (isMissingStream(error)) return undefined
    throw error
  }
}

export const isMissingStream = (error: unknown): boolean =>
  error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound
