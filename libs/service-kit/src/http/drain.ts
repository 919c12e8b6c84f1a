import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

/** How long (ms) we keep a connection to another service that we don't use. */
export const idleConnectionMs = 4000

/**
 * Lets callers leave by themselves at the end, because a call is lost when its connection is closed while it is sent. For
 * `seconds` the server still takes connections and answers; each answer closes its connection, and callers close those they
 * don't use. So `seconds` must be longer than `idleConnectionMs`.
 */
export function drainBeforeEnd(app: FastifyInstance, seconds: number): void {
  // While this hook runs Fastify answers with `Connection: close`.
  app.addHook('preClose', () => delay(seconds * 1000))
}
