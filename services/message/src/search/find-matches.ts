import { ContractError } from '@im/contracts'
import type { ClientSession } from 'mongodb'
import { candidatePages } from './candidate-pages.ts'
import { matchingRows, wordBytes } from './matching-rows.ts'
import { type Match, NewestMatches } from './newest-matches.ts'
import { type Owner, ownersOf, pathOf } from './owners.ts'
import { groupsOf } from './row-groups.ts'
import type { SearchIndex } from './search-index.ts'
import type { SearchScope } from './search-scope.ts'

/** What one search may read: an answer is complete or none. */
const mostBytes = 128 * 2 ** 20
/** Milliseconds one search may take. */
const longest = 10_000
/** Pages read in one round: few at first, the newest may be enough. */
const firstPages = 32
const mostPages = 256

/**
 * The newest messages of the scope that hold every word, at most `most`. All is read as of one moment, so it does not matter
 * what an indexer moves meanwhile. Throws SearchTooBroad when that is too much work.
 */
export async function findMatches(
  index: SearchIndex,
  scope: SearchScope,
  words: readonly string[],
  most: number,
): Promise<readonly Match[]> {
  const until = performance.now() + longest
  return await index.transaction(async (session) => await readIndex(index, scope, words, { most, until, session }))
}

async function readIndex(
  index: SearchIndex,
  scope: SearchScope,
  words: readonly string[],
  { most, until, session }: { most: number; until: number; session: ClientSession },
): Promise<readonly Match[]> {
  const bytes = wordBytes(words)
  const owners = new Set(scope.owners)
  const found = new NewestMatches(most)
  let left = mostBytes

  for await (const { rows } of index.backlog.find(session)) lookIntoBatch(spend(rows))
  const path = [...new Set(scope.owners.flatMap(pathOf))]
  for await (const { rows } of index.nodes.find(path, session))
    for (const group of groupsOf(spend(rows))) if (owners.has(group.name)) look(group.name, group.rows)
  const candidates = await candidatePages(index, scope, words, session)
  for (let at = 0, count = firstPages; at < candidates.length; count = Math.min(2 * count, mostPages)) {
    if (found.isDone(candidates[at]!.maxTime)) break
    const some = candidates.slice(at, at + count).map(({ id }) => id)
    for (const { owner, rows } of await index.pages.byIds(some, session)) look(owner, spend(rows))
    at += count
  }
  return found.newest

  /** What no reader understands is found by nobody, and keeps nobody from finding the rest. */
  function lookIntoBatch(rows: Buffer): void {
    try {
      for (const group of groupsOf(rows))
        for (const owner of ownersOf(group.name)) if (owners.has(owner)) look(owner, group.rows)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
  }

  function look(owner: Owner, rows: Buffer): void {
    for (const row of matchingRows(rows, bytes)) if (scope.hasRow(owner, row)) found.add(row)
  }

  function spend(rows: Buffer): Buffer {
    left -= rows.length
    if (left < 0 || performance.now() > until) throw new ContractError('SearchTooBroad')
    return rows
  }
}
