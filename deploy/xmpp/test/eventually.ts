import { setTimeout as delay } from 'node:timers/promises'

/** Waits until the check stops throwing and returns something; fails with its last error. */
export async function eventually<T>(check: () => T | Promise<T>, deadline = 10_000): Promise<NonNullable<T>> {
  const end = Date.now() + deadline
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== null && value !== false) return value
      if (Date.now() > end) throw new Error(`not true within ${deadline} ms: ${check}`)
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await delay(5)
  }
}
