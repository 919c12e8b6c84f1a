import type { EventEnvelope, EventType, Payload } from '@im/contracts'
import type { Change } from './outbox.ts'

/** What a service does with an event. Made by `on` or `exactlyOnce`. */
export type EventHandler = { event: EventType; attempts: number } & (
  | { transactional: false; handle: (payload: never, envelope: EventEnvelope<never>) => Promise<unknown> }
  | {
      transactional: true
      handle: (payload: never, change: Change, envelope: EventEnvelope<never>) => Promise<unknown>
    }
)

interface HandlerOptions {
  /**
   * Tries before the event is parked as a dead letter (5). Tries that fail because a store or another service is away don't
   * count.
   */
  attempts?: number
}

const defaultAttempts = 5

/** Handles an event at least once: after a crash the last ones come again, so `handle` must be idempotent. */
export const on = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  { attempts = defaultAttempts }: HandlerOptions = {},
): EventHandler => ({ event, attempts, transactional: false, handle })

/**
 * Handles an event exactly once, and never an older event of an aggregate after a newer one: what `handle` writes with
 * `change.session` commits together with the position of the reader. `handle` runs again after a conflict, so it must have no
 * other effects.
 */
export const exactlyOnce = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, change: Change, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  { attempts = defaultAttempts }: HandlerOptions = {},
): EventHandler => ({ event, attempts, transactional: true, handle })
