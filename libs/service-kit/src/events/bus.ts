import type { EventEnvelope, EventType, Payload, StreamSpec } from '@im/contracts'

export interface Subscription {
  close(): Promise<void>
}

/** A place in a stream. `stream` differs after a stream was lost and created again. */
export interface StreamPosition {
  stream: string
  sequence: number
  /**
   * When JetStream stored the message at this place (ms). After the server came back in an older state, a newer message is
   * there.
   */
  at?: number
}

/** An event as JetStream keeps it. */
export interface StoredEvent {
  position: StreamPosition
  /** Undefined when it can't be read. */
  envelope: EventEnvelope | undefined
  subject: string
  data: Uint8Array
  /** The trace in which it was announced. */
  traceParent?: string | undefined
  /** How many events of the partition follow. */
  waiting: number
}

/** Reads a partition of a stream in its order. */
export interface PartitionReader {
  /** Where reading begins when the stream has lost events that were still to be read: it was created again, or lost its end. */
  readonly restart: StreamPosition | undefined
  /** Ends without an error when reading has to start again: after a restart of the server, or after `close`. */
  batches(most: number): AsyncIterable<StoredEvent[]>
  close(): void
}

/** Publishes and reads domain events. */
export interface Bus {
  /** The service it was opened for. */
  readonly service: string
  /** Most bytes of an event with its envelope. */
  readonly maxEventBytes: number
  /** Resolves when JetStream has stored the event. Publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope, traceParent?: string): Promise<void>
  /** Reads on after a position, or from the start. Some events that were not asked for may come too. */
  read(options: {
    stream: StreamSpec
    partition: number
    after: StreamPosition | undefined
    events: readonly string[]
  }): Promise<PartitionReader>
  /** Keeps an event that this service can't handle, for operators. */
  park(event: StoredEvent): Promise<void>
  /**
   * Sends to whoever listens at this moment, for caches that must forget something. Resolves when the server has passed it on;
   * rejects at once while there is no connection.
   */
  broadcast<E extends EventType>(event: E, payload: Payload<E>): Promise<void>
  listen<E extends EventType>(event: E, handle: (payload: Payload<E>) => void): Subscription
  /** Calls `handle` in every replica for events published while it is connected, for caches. Others use event handlers. */
  hear<E extends EventType>(
    event: E,
    handle: (payload: Payload<E>, envelope: EventEnvelope<Payload<E>>) => void,
  ): Subscription
  /**
   * To all replicas of this service, this one included, that listen right now; in order for each sender. What is larger than NATS
   * takes is not told.
   */
  tell(topic: string, text: string): void
  onTell(topic: string, handle: (text: string) => void): Subscription
  /** A hint without content between replicas of one service. */
  wake(topic: string): void
  onWake(topic: string, handle: () => void): Subscription
  /**
   * Calls `handle` when the connection is lost (false), at once where it is lost already, and when it is back (true). Broadcasts in
   * between are missed.
   */
  onConnection(handle: (connected: boolean) => void): Subscription
  /** Resolves with the reason when the client gives up the connection for good, as it does when credentials are refused. */
  readonly failed: Promise<Error>
  ping(): Promise<void>
  close(): Promise<void>
}
