import { ContractError } from '@im/contracts'
import { ObjectId } from 'mongodb'
import type { Messages } from '../archive/messages-repository.ts'
import { rowsByConversation } from './backlog-repository.ts'
import { candidatePages } from './candidate-pages.ts'
import { matchingRows, wordBytes } from './matching-rows.ts'
import { type Match, NewestMatches } from './newest-matches.ts'
import type { SearchIndex } from './search-index.ts'
import type { SearchScope } from './search-scope.ts'

/** A search that takes longer (ms) fails: an answer is complete or none. */
const patience = 10_000
/** Pages read together: few at first, a frequent word has its answers in the newest. */
const firstPages = 64
const morePages = 256

/**
 * The newest messages of the scope that hold every word and that the caller can still see, at most `most`. The index
 * proposes, the archive decides. Backlog, blocks and filters are read in this order, see `SearchIndex`.
 */
export async function findMatches(
  { messages, searchIndex }: { messages: Messages; searchIndex: SearchIndex },
  caller: number,
  scope: SearchScope,
  words: readonly string[],
  most: number,
): Promise<readonly Match[]> {
  const deadline = Date.now() + patience
  const bytes = wordBytes(words)
  const found = new NewestMatches(most, (ids) =>
    messages.searchableAmong(
      ids.map((id) => ObjectId.createFromHexString(id)),
      undefined,
      caller,
    ),
  )
  const { backlog, blocks, pages } = searchIndex

  for await (const waiting of backlog.find())
    for (const { conversation, rows } of rowsByConversation(waiting))
      if (scope.hasConversation(conversation)) await look(conversation, rows)
  for (const owner of scope.owners)
    for await (const { conversation, rows } of blocks.find({ ...owner, ...scope.overlapping }))
      await look(conversation, rows)

  const candidates = (await candidatePages(searchIndex, scope, words)).sort((a, b) => b.maxTime - a.maxTime)
  for (let at = 0; at < candidates.length; ) {
    const some = candidates.slice(at, at + (at ? morePages : firstPages))
    const read = await pages.find({ _id: { $in: some.map(({ id }) => id) } }).toArray()
    for (const { conversation, rows } of read) await look(conversation, rows)
    at += some.length
    const unread = candidates[at]?.maxTime ?? Number.NEGATIVE_INFINITY
    await found.settle(unread)
    if (found.isDone(unread)) break
  }
  await found.settle()
  return found.newest

  async function look(conversation: string, rows: Buffer): Promise<void> {
    for (const row of matchingRows(rows, bytes)) if (scope.hasRow(conversation, row)) found.add(row)
    if (found.isCrowded) await found.settle()
    if (Date.now() > deadline) throw new ContractError('ServiceUnavailable', { detail: 'keyword: too common' })
  }
}
