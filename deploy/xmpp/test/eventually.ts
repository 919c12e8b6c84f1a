import { setTimeout as delay } from 'node:timers/promises'
import { beforeDeadline } from '@im/service-kit/before-deadline'

/** The promise's value; fails when it is not settled within so many milliseconds. */
export const within = <T>(promise: Promise<T>, what: string, deadline = 10_000): Promise<T> =>
  beforeDeadline(Math.max(0, deadline), () => new Error(`${what}: not within ${deadline} ms`), promise)

/** A check that has begun may take so long (ms) beyond the deadline. */
const grace = 10_000

/** Waits until the check stops throwing and returns something; fails with its last error. */
export async function eventually<T>(check: () => T | Promise<T>, deadline = 10_000): Promise<NonNullable<T>> {
  const end = Date.now() + deadline
  for (;;) {
    try {
      const result = check()
      const value = result instanceof Promise ? await within(result, String(check), end - Date.now() + grace) : result
      if (value !== undefined && value !== null && value !== false) return value
      if (Date.now() > end) throw new Error(`not true within ${deadline} ms: ${check}`)
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await delay(5)
  }
}
