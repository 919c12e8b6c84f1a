import { StoreAwayError } from './store-away.ts'

/** Returns the result of `work`, or throws StoreAwayError after `ms`. For calls to a store that have no deadline. */
export async function within<T>(ms: number, store: string, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new StoreAwayError(store, `no answer in ${ms} ms`)), ms)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
