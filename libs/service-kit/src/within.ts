import { beforeDeadline } from './before-deadline.ts'
import { StoreAwayError } from './store-away.ts'

/** Returns the result of `work`, or throws StoreAwayError after `ms`. For calls to a store that have no deadline. */
export const within = <T>(ms: number, store: string, work: Promise<T>): Promise<T> =>
  beforeDeadline(ms, () => new StoreAwayError(store, `no answer in ${ms} ms`), work)
