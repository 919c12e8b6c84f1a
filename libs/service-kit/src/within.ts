import { setTimeout as delay } from 'node:timers/promises'
import { StoreAwayError } from './store-away.ts'

/** Returns the result of `work`, or throws StoreAwayError after `ms`. For calls to a store that have no deadline. */
export async function within<T>(ms: number, store: string, work: Promise<T>): Promise<T> {
  const done = new AbortController()
  const late = delay(ms, undefined, { signal: done.signal }).then(() => {
    throw new StoreAwayError(store, `no answer in ${ms} ms`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
  }
}
