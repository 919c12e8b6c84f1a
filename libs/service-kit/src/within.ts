import { setTimeout as delay } from 'node:timers/promises'

/** What `work` gives, or a TimeoutError after `ms`; for waits that have no deadline of their own. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const late = delay(ms, undefined, { signal: done.signal }).then(() => {
    const error = new Error(`${what}: no answer in ${ms} ms`)
    error.name = 'TimeoutError'
    throw error
  })
  late.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
  }
}
