import { setTimeout as delay } from 'node:timers/promises'

/** A probe that has begun may take so long (ms) beyond the deadline. */
const grace = 10_000

/** Between two probes there is a tenth of the time that has been waited, within these bounds (ms): probes cost CPU. */
const [shortestPause, longestPause] = [20, 250]

/** Waits until `probe` returns something truthy and does not throw. At the deadline (ms) it throws the last error. */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  deadline = 10_000,
): Promise<Exclude<T, false | null | undefined>> {
  const start = Date.now()
  const end = start + deadline
  const ended = new AbortController()
  const expiry = delay(deadline + grace, undefined, { signal: ended.signal }).then(() => {
    throw new Error(`a probe did not end within ${deadline} ms and ${grace} more`)
  })
  expiry.catch(() => {})
  let last: unknown = new Error('it never became true')
  try {
    for (;;) {
      try {
        const value = await Promise.race([probe(), expiry])
        if (value) return value as Exclude<T, false | null | undefined>
      } catch (error) {
        last = error
      }
      if (Date.now() > end) throw last
      await delay(Math.min(longestPause, Math.max(shortestPause, (Date.now() - start) / 10)))
    }
  } finally {
    ended.abort()
  }
}
