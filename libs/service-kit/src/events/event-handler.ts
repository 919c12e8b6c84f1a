import type { EventEnvelope, EventType, Payload, StreamSpec } from '@im/contracts'
import type { Change } from './outbox.ts'

/**
 * A copy of what another service has, made by `catchUp` and by the handlers that name it. Under a new name everything is read
 * again, for example because the copy is to keep more.
 */
export interface Projection {
  readonly name: string
  readonly stream: StreamSpec
}

/** What a service does with an event. Made by `on`, `onMany` or `exactlyOnce`. */
export type EventHandler = { event: EventType; attempts: number; timeoutMs: number } & (
  | { transactional: false; atOnce: number; handle: (envelopes: readonly EventEnvelope<never>[]) => Promise<unknown> }
  | {
      transactional: true
      projection?: Projection | undefined
      handle: (payload: never, change: Change, envelope: EventEnvelope<never>) => Promise<unknown>
    }
)

interface HandlerOptions {
  /**
   * Tries before the event is parked as a dead letter (5). Tries that fail because a store or another service is away don't
   * count.
   */
  attempts?: number
  /**
   * A try that takes longer counts as failed, because it may wait for something that never comes (60 s; with `exactlyOnce` 10
   * s).
   */
  timeoutMs?: number
}

const defaultAttempts = 5

/** Handles an event at least once: after a crash the last ones come again, so `handle` must be idempotent. */
export const on = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  options: HandlerOptions = {},
): EventHandler => onMany(event, ([envelope]) => handle(envelope!.data, envelope!), { ...options, atOnce: 1 })

/**
 * The same for up to `atOnce` (100) events in a row that wait at the moment: for work that costs about the same for many as for
 * one. After a failure the first of them is tried alone.
 */
export const onMany = <E extends EventType>(
  event: E,
  handle: (envelopes: readonly EventEnvelope<Payload<E>>[]) => Promise<unknown>,
  { attempts = defaultAttempts, timeoutMs = 60_000, atOnce = 100 }: HandlerOptions & { atOnce?: number } = {},
): EventHandler => ({ event, attempts, timeoutMs, transactional: false, atOnce, handle })

/**
 * Handles an event exactly once, and never an older event of an aggregate after a newer one: what `handle` writes with
 * `change.session` commits together with the position of the reader. `handle` runs again after a conflict, so it must have no
 * other effects.
 *
 * A handler of a projection is not called for what a row of `catchUp` already contains. Effects that every event must have go
 * into a handler without one; an event may have both.
 */
export const exactlyOnce = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, change: Change, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  { attempts = defaultAttempts, timeoutMs = 10_000, projection }: HandlerOptions & { projection?: Projection } = {},
): EventHandler => ({ event, attempts, timeoutMs, transactional: true, projection, handle })
