import { ensureCollections, inTransaction } from '@im/service-kit'
import type { ClientSession, Db } from 'mongodb'
import { SearchBacklog } from './backlog-repository.ts'
import { SearchFilters } from './filters-repository.ts'
import { SearchNodes } from './nodes-repository.ts'
import { SearchPages } from './pages-repository.ts'
import { SearchRemovals } from './removals-repository.ts'
import { defaultLimits, type SearchLimits } from './search-limits.ts'

/**
 * The collections of the search, apart from the archive itself. A message moves one way: backlog, nodes of the tree from the top
 * down, pages with filters of level 0, 1, 2; each move is one transaction. A search reads them in one transaction, too: so it sees
 * every message once, whatever an indexer does meanwhile or has died of.
 */
export interface SearchIndex {
  backlog: SearchBacklog
  removals: SearchRemovals
  nodes: SearchNodes
  pages: SearchPages
  filters: SearchFilters
  limits: SearchLimits
  transaction<T>(work: (session: ClientSession) => Promise<T>): Promise<T>
  createIndexes(): Promise<void>
}

export function openSearchIndex(db: Db, limits: Partial<SearchLimits> = {}): SearchIndex {
  const [removals, nodes] = [new SearchRemovals(db), new SearchNodes(db)]
  const [pages, filters] = [new SearchPages(db), new SearchFilters(db)]
  return {
    backlog: new SearchBacklog(db),
    ...{ removals, nodes, pages, filters },
    limits: { ...defaultLimits, ...limits },
    transaction: (work) => inTransaction(db.client, work),
    async createIndexes() {
      await ensureCollections(db, ['searchBacklog'])
      for (const part of [removals, nodes, pages, filters]) await part.createIndexes()
    },
  }
}
