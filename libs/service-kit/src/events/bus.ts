import type { EventEnvelope, EventType, Payload, StreamSpec } from '@im/contracts'

export interface Subscription {
  close(): Promise<void>
}

/** A place in a stream. Positions of a stream that was lost and made anew have another `stream`. */
export interface StreamPosition {
  stream: string
  sequence: number
}

/** An event as JetStream keeps it. */
export interface StoredEvent {
  position: StreamPosition
  /** Undefined when it can't be read. */
  envelope: EventEnvelope | undefined
  subject: string
  data: Uint8Array
  /** Events of the partition behind it. */
  waiting: number
}

/** Reads a partition of a stream in its order. */
export interface PartitionReader {
  /** The stream has lost events that were to be read: it was made anew or lost its end. */
  readonly hasLost: boolean
  /** Ends without an error when reading has to begin anew: the server was restarted, or `close` was called. */
  batches(most: number): AsyncIterable<StoredEvent[]>
  close(): void
}

/** Where domain events go and come from. */
export interface Bus {
  /** The service it was opened for. */
  readonly service: string
  /** Most bytes of an event with its envelope. */
  readonly maxEventBytes: number
  /** Stored by JetStream when the promise resolves; publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope): Promise<void>
  /** Reads on after a position, or from the start. Of the other events than those named some may come, too. */
  read(options: {
    stream: StreamSpec
    partition: number
    after: StreamPosition | undefined
    events: readonly string[]
  }): Promise<PartitionReader>
  /** Keeps an event that this service can't handle, for operators. */
  park(event: StoredEvent): Promise<void>
  /**
   * To whoever listens right now: for caches that must forget. Resolves when the server has handed it on; rejects at once
   * while there is no connection.
   */
  broadcast<E extends EventType>(event: E, payload: Payload<E>): Promise<void>
  listen<E extends EventType>(event: E, handle: (payload: Payload<E>) => void): Subscription
  /** A hint without content between replicas of one service. */
  wake(topic: string): void
  onWake(topic: string, handle: () => void): Subscription
  /** Tells when the connection is lost (false) and back (true): what was broadcast in between was not heard. */
  onConnection(handle: (connected: boolean) => void): Subscription
  /** Resolves with the reason when the client gave the connection up for good, as it does when credentials are refused. */
  readonly failed: Promise<Error>
  ping(): Promise<void>
  close(): Promise<void>
}
