import { setTimeout as delay } from 'node:timers/promises'

/** Waits until `probe` returns something truthy and does not throw. At the deadline (ms) it throws the last error. */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  deadline = 10_000,
): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + deadline
  let last: unknown = new Error('it never became true')
  for (;;) {
    try {
      const value = await probe()
      if (value) return value as Exclude<T, false | null | undefined>
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw last
    await delay(20)
  }
}
