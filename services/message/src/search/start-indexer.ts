import { setTimeout as delay } from 'node:timers/promises'
import { Gauge, holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { indexWaiting } from './index-waiting.ts'
import { removeExpired } from './remove-rows.ts'

/** Time (ms) in which messages gather: those of one conversation cost little more than one. */
const gather = 1000
const expiryEvery = 3_600_000

/** Follows the archive in one replica at a time. Receipts never wait for it, and neither do complete results. */
export function startSearchIndexer(deps: Deps): { close(): Promise<void> } {
  const { backlog } = deps.searchIndex
  new Gauge({
    name: 'im_search_lag_seconds',
    help: 'Age of the oldest message that is not in the search index yet',
    registers: [deps.metrics],
    async collect() {
      const since = await backlog.waitingSince().catch(() => undefined)
      this.set(since === undefined ? 0 : Math.max(0, (deps.now() - since) / 1000))
    },
  })
  new Gauge({
    name: 'im_search_backlog_batches',
    help: 'Archived batches that are not in the search index yet; each search reads all of them',
    registers: [deps.metrics],
    async collect() {
      this.set(await backlog.collection.estimatedDocumentCount().catch(() => 0))
    },
  })
  return holdLease({
    redis: deps.redis,
    name: 'search-index',
    log: deps.log,
    async work(signal) {
      let expiryAt = deps.now() + expiryEvery
      while (!signal.aborted) {
        const startedAt = performance.now()
        const { drained } = await indexWaiting(deps)
        if (deps.now() >= expiryAt) {
          expiryAt = deps.now() + expiryEvery
          const rewritten = await removeExpired(deps.searchIndex, deps.now(), signal)
          if (rewritten) deps.log.info({ rewritten }, 'expired messages taken out of the search index')
        }
        // Half the time at most: under load the archive comes first, and the backlog waits.
        const took = performance.now() - startedAt
        await delay(drained ? Math.max(gather, took) : took, undefined, { signal }).catch(() => {})
      }
    },
  })
}
