import type { EventEnvelope, EventType, Payload } from '@im/contracts'

export interface Subscription {
  close(): Promise<void>
}

/** What a service does when it hears of an event. Made by `on`. */
export interface EventHandler<E extends EventType = EventType> {
  event: E
  handle(payload: Payload<E>, envelope: EventEnvelope<Payload<E>>): Promise<unknown>
  /**
   * Tries before the event is parked in the dead-letter subject (5). While a store or another service is away it is tried
   * for ever: the event is not at fault.
   */
  attempts?: number
}

/** Binds an event to what is done about it: `on(userUpdated, ({ userId }) => …)`. */
export const on = <E extends EventType>(
  event: E,
  handle: EventHandler<E>['handle'],
  options: { attempts?: number } = {},
): EventHandler => ({ event, handle, ...options }) as EventHandler

/** Where domain events go and come from. `recordedBus()` of the testing folder stands in for it in unit tests. */
export interface Bus {
  /** Stored by JetStream when the promise resolves; publishing the same id again within two minutes stores nothing. */
  publish(envelope: EventEnvelope): Promise<void>
  /**
   * Durable, in order, at least once: an event is acknowledged after `handle` resolved. What must not happen twice goes
   * through `outbox.once(envelope.id, …)` (or `handleOnce`). A service subscribes once, with all its handlers.
   */
  subscribe(handlers: readonly EventHandler[]): Promise<Subscription>
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
