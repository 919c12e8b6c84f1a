import { ContractError } from '@im/contracts'
import { searchableFor } from '../archive/find-visible.ts'
import { rowsByConversation } from './backlog-repository.ts'
import { candidatePages } from './candidate-pages.ts'
import { matchingRows, wordBytes } from './matching-rows.ts'
import { type Match, NewestMatches } from './newest-matches.ts'
import type { Page } from './pages-repository.ts'
import type { SearchDeps } from './search-messages.ts'
import type { SearchScope } from './search-scope.ts'

/** A search that takes longer (ms) fails: an answer is complete or none. */
const patience = 10_000
/** Pages read in one round: few at first, the newest may be enough; then as many as it takes, as it seems. */
const firstPages = 32
const mostPages = 128
/** Pages of one query; a few queries run side by side. */
const askedTogether = 32

/**
 * The newest messages of the scope that hold every word and that the caller can still see, at most `most`. The index
 * proposes, the archive decides. Backlog, blocks and filters are read in this order, see `SearchIndex`.
 */
export async function findMatches(
  deps: SearchDeps,
  caller: number,
  scope: SearchScope,
  words: readonly string[],
  most: number,
): Promise<readonly Match[]> {
  const deadline = Date.now() + patience
  const bytes = wordBytes(words)
  const found = new NewestMatches(most, (ids) => searchableFor(deps, caller, ids))
  const { searchIndex } = deps
  const { backlog, blocks, pages } = searchIndex

  for await (const waiting of backlog.find())
    for (const { conversation, rows } of rowsByConversation(waiting))
      if (scope.hasConversation(conversation)) await look(conversation, rows)
  for (const owner of scope.owners)
    for await (const { conversation, rows } of blocks.find({ ...owner, ...scope.overlapping }))
      await look(conversation, rows)

  const candidates = (await candidatePages(searchIndex, scope, words)).sort((a, b) => b.maxTime - a.maxTime)
  for (let at = 0, read = readPages(0, firstPages); at < candidates.length; ) {
    const before = found.count
    const some = await read
    for (const { conversation, rows } of some.pages) await look(conversation, rows)
    at = some.end
    const unread = candidates[at]?.maxTime ?? Number.NEGATIVE_INFINITY
    const perPage = (found.count - before) / some.pages.length
    const round = Math.min(mostPages, Math.max(firstPages, Math.ceil((1.1 * found.missing) / perPage) || mostPages))
    // Surely not enough: read on while the archive is asked.
    const goesOn = found.countNewer(unread) < most
    if (goesOn) read = readPages(at, round)
    await Promise.all([found.settle(unread), goesOn ? read : undefined])
    if (found.isDone(unread)) break
    if (!goesOn) read = readPages(at, round)
  }
  await found.settle()
  return found.newest

  async function readPages(start: number, count: number): Promise<{ pages: Page[]; end: number }> {
    const end = Math.min(candidates.length, start + count)
    const parts: Promise<Page[]>[] = []
    for (let at = start; at < end; at += askedTogether) {
      const ids = candidates.slice(at, Math.min(end, at + askedTogether)).map(({ id }) => id)
      parts.push(pages.find({ _id: { $in: ids } }).toArray())
    }
    return { pages: (await Promise.all(parts)).flat(), end }
  }

  async function look(conversation: string, rows: Buffer): Promise<void> {
    for (const row of matchingRows(rows, bytes)) if (scope.hasRow(conversation, row)) found.add(row)
    if (found.isCrowded) await found.settle()
    if (Date.now() > deadline) throw new ContractError('ServiceUnavailable', { detail: 'keyword: too common' })
  }
}
