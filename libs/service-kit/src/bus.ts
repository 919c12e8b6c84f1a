import type { EventEnvelope, EventType, Payload } from '@im/contracts'

export interface Subscription {
  close(): Promise<void>
}

export interface SubscribeOptions<E extends EventType> {
  /** Name of the subscribing service; replicas share the durable consumer `<service>-<event>`. */
  service: string
  handle(payload: Payload<E>, envelope: EventEnvelope<Payload<E>>): Promise<void>
  /**
   * Tries before the event is parked in the dead-letter subject (5). While a store or another service is away it is tried
   * for ever: the event is not at fault.
   */
  attempts?: number
}

/** Where domain events go and come from. `recordedBus()` of the testing folder stands in for it in unit tests. */
export interface Bus {
  /** Stored by JetStream when the promise resolves; publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope): Promise<void>
  /**
   * Durable, in order, at least once: the event is acknowledged after `handle` resolved. What must not happen twice goes
   * through `outbox.once(envelope.id, …)` (or `handleOnce`).
   */
  subscribe<E extends EventType>(event: E, options: SubscribeOptions<E>): Promise<Subscription>
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
  ping(): Promise<void>
  close(): Promise<void>
}
