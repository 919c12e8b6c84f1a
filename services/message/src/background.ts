import type { Closable } from '@im/service-kit'
import { sweepMessages } from './archive/sweep-messages.ts'
import type { Deps } from './deps.ts'
import { ordersTopic } from './notices/ask-for-orders.ts'
import { startSearchIndexer } from './search/start-indexer.ts'
import { holdConnection } from './tap/hold-connection.ts'

/** Work beside requests and events. Its end: no new entries of the tap, then the batch in hand. */
export function background(deps: Deps): Closable[] {
  return [
    deps.user,
    startSearchIndexer(deps),
    sweepMessages(deps),
    holdConnection(deps),
    deps.bus.onWake(ordersTopic, () => deps.ordersWaiting.ring()),
  ]
}
