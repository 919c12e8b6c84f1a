import type { ClientSession, Db } from 'mongodb'
import { SearchBacklog } from './backlog-repository.ts'
import { SearchBlocks } from './blocks-repository.ts'
import { SearchFilters } from './filters-repository.ts'
import { SearchPages } from './pages-repository.ts'
import { defaultLimits, type SearchLimits } from './search-limits.ts'

/**
 * The collections of the search, apart from the archive itself. A message moves one way: backlog, blocks, pages with filters
 * of level 0, 1, 2; each move is one transaction. Who reads them in that order sees every message at least once.
 */
export interface SearchIndex {
  backlog: SearchBacklog
  blocks: SearchBlocks
  pages: SearchPages
  filters: SearchFilters
  limits: SearchLimits
  transaction<T>(work: (session: ClientSession) => Promise<T>): Promise<T>
  createIndexes(): Promise<void>
}

export function openSearchIndex(db: Db, limits: Partial<SearchLimits> = {}): SearchIndex {
  const [backlog, blocks, pages, filters] = [
    new SearchBacklog(db),
    new SearchBlocks(db),
    new SearchPages(db),
    new SearchFilters(db),
  ]
  return {
    backlog,
    blocks,
    pages,
    filters,
    limits: { ...defaultLimits, ...limits },
    transaction: (work) => db.client.withSession((session) => session.withTransaction(() => work(session))),
    async createIndexes() {
      await blocks.createIndexes()
      await pages.createIndexes()
      await filters.createIndexes()
    },
  }
}
