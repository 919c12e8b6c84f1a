import { ContractError } from '@im/contracts'
import PQueue from 'p-queue'

/** Searches at a time: the rest of the process goes on beside them. */
const atOnce = 4
/** Searches that may wait; a client would not wait for more. */
const mostWaiting = 64

/** Searches of one process take turns. */
export interface SearchQueue {
  /** Throws ServiceUnavailable when too many wait already. */
  run<T>(search: () => Promise<T>): Promise<T>
}

export function createSearchQueue(): SearchQueue {
  const queue = new PQueue({ concurrency: atOnce })
  return {
    async run(search) {
      if (queue.size >= mostWaiting) throw new ContractError('ServiceUnavailable', { detail: 'too many searches' })
      return await queue.add(search)
    },
  }
}
