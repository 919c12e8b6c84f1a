import type { EventEnvelope, EventType, Payload } from '@im/contracts'
import type { Change } from './outbox.ts'

/** What a service does when it hears of an event. Made by `on` or `exactlyOnce`. */
export type EventHandler = { event: EventType; attempts: number } & (
  | { transactional: false; handle: (payload: never, envelope: EventEnvelope<never>) => Promise<unknown> }
  | {
      transactional: true
      handle: (payload: never, change: Change, envelope: EventEnvelope<never>) => Promise<unknown>
    }
)

interface HandlerOptions {
  /**
   * Tries before the event is parked as a dead letter (5). While a store or another service is away it is tried for ever: the
   * event is not at fault.
   */
  attempts?: number
}

const defaultAttempts = 5

/** At least once: after a crash the last events come again, so `handle` must be idempotent. For what is not in the database. */
export const on = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  { attempts = defaultAttempts }: HandlerOptions = {},
): EventHandler => ({ event, attempts, transactional: false, handle })

/**
 * Exactly once, and never an older event of an aggregate after a newer one: what `handle` writes with `change.session` commits
 * together with the note that the event was handled. Runs again from its start on a conflict: it must have no other effects.
 */
export const exactlyOnce = <E extends EventType>(
  event: E,
  handle: (payload: Payload<E>, change: Change, envelope: EventEnvelope<Payload<E>>) => Promise<unknown>,
  { attempts = defaultAttempts }: HandlerOptions = {},
): EventHandler => ({ event, attempts, transactional: true, handle })
