import { setTimeout as delay } from 'node:timers/promises'
import { Counter, Gauge, holdLease, isStoreAway } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { indexWaiting } from './index-waiting.ts'
import { removeLost } from './remove-rows.ts'

/** Time (ms) in which messages gather: many at once cost little more than one. */
const gather = 1000

type IndexerDeps = Pick<Deps, 'searchIndex' | 'metrics' | 'db' | 'replicas' | 'log' | 'now'>

/** Follows the archive in one replica at a time. Receipts never wait for it, and neither do complete results. */
export function startSearchIndexer(deps: IndexerDeps): { close(): Promise<void> } {
  const indexer = createIndexer(deps)
  return holdLease(deps, {
    name: 'search-index',
    async work(signal) {
      while (!signal.aborted) {
        const startedAt = performance.now()
        const isDrained = await indexer.step()
        // Half the time at most: under load the archive comes first, and the backlog waits.
        const took = performance.now() - startedAt
        await delay(isDrained ? Math.max(gather, took) : took, undefined, { signal }).catch(() => {})
      }
    },
  })
}

/** The steps of the indexer. None of them can hold up the next one for ever. */
export function createIndexer({ searchIndex, metrics, log, now }: Omit<IndexerDeps, 'db' | 'replicas'>) {
  const { backlog } = searchIndex
  new Gauge({
    name: 'im_search_lag_seconds',
    help: 'Age of the oldest message that is not in the search index yet',
    registers: [metrics],
    async collect() {
      const oldest = await backlog.oldest().catch(() => undefined)
      this.set(oldest ? Math.max(0, (now() - oldest.getTimestamp().getTime()) / 1000) : 0)
    },
  })
  new Gauge({
    name: 'im_search_backlog_batches',
    help: 'Archived batches that are not in the search index yet; each search reads all of them',
    registers: [metrics],
    async collect() {
      this.set(await backlog.collection.estimatedDocumentCount().catch(() => 0))
    },
  })
  const stuck = new Counter({
    name: 'im_search_stuck_steps_total',
    help: 'Steps of the indexer that failed, or took nothing although messages wait: alarm when it grows',
    registers: [metrics],
  })
  let failures = 0

  /** A batch that fails again and again alone is set aside: searches read it, and the others go on. */
  async function index(): Promise<boolean> {
    try {
      const { taken, drained } = await indexWaiting(searchIndex, failures ? 1 : undefined)
      failures = 0
      if (!taken && !drained) stuck.inc()
      return drained
    } catch (error) {
      stuck.inc()
      if (!isStoreAway(error)) failures++
      log.warn({ reason: String(error), failures }, 'messages could not be taken into the search index; trying again')
      if (failures >= mostFailures) {
        const oldest = await backlog.oldestGood()
        if (oldest) await backlog.setAside(oldest)
        log.error({ batch: oldest?.toHexString() }, 'a batch that the search index does not take was set aside')
        failures = 0
      }
      return true
    }
  }

  return {
    /** True when nothing more waits. */
    async step(): Promise<boolean> {
      const isDrained = await index()
      try {
        const looked = await removeLost(searchIndex, now())
        return isDrained && looked === 0
      } catch (error) {
        stuck.inc()
        log.warn({ reason: String(error) }, 'removed messages could not be taken out of the search index; trying again')
        return isDrained
      }
    },
  }
}

/** Failures in a row, while MongoDB answers, until the batch is to blame. */
const mostFailures = 10
