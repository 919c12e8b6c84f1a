import { type ClientSession, ObjectId } from 'mongodb'
import type { Block } from './blocks-repository.ts'
import { packDirectory, placesOf } from './filters-repository.ts'
import { packRows, type SearchRow, summaryOf, unpackRows } from './packed-rows.ts'
import { addTokens, buildFilter, type Level, mergeFilters, type Token } from './page-filter.ts'
import type { Page } from './pages-repository.ts'
import { type SearchIndex, usersOf } from './search-index.ts'
import type { SearchLimits } from './search-limits.ts'

/** Bytes of rows sealed together, about: the new documents stay far below what MongoDB takes. */
const sealedBytes = 8 * 2 ** 20

/** Turns the full blocks of a conversation into pages, as long as there are enough of them, and merges its filters. */
export async function sealBlocks(index: SearchIndex, conversation: string): Promise<void> {
  while (await index.transaction((session) => sealOnce(index, conversation, session)));
  for (const level of [0, 1] as const)
    while ((await index.filters.count(conversation, level)) >= index.limits.mergedFilters)
      await index.transaction((session) => mergeOnce(index, conversation, level, session))
}

/** False when there is too little to seal. */
async function sealOnce(index: SearchIndex, conversation: string, session: ClientSession): Promise<boolean> {
  const { limits } = index
  const sealed: Block[] = []
  let [count, bytes] = [0, 0]
  for await (const block of index.blocks.full(conversation, session)) {
    sealed.push(block)
    count += block.count
    bytes += block.rows.length
    if (bytes >= sealedBytes) break
  }
  if (count < limits.sealMessages && bytes < sealedBytes) return false
  const pages = paginate(
    sealed.flatMap(({ rows }) => [...unpackRows(rows)]),
    limits,
  )
  const stored = pages.map(({ rows }): Page => {
    const packed = packRows(rows)
    return { _id: new ObjectId(), conversation, rows: packed, ...summaryOf(packed) }
  })
  const filter = buildFilter(pages.map(({ tokens }) => tokens))
  await index.pages.add(stored, session)
  const owner = { conversation, users: usersOf(conversation) }
  await index.filters.add(owner, 0, filter, packDirectory(placesOf(stored), filter.width), session)
  await index.blocks.remove(
    sealed.map(({ _id }) => _id),
    session,
  )
  return true
}

/** `tokens` is undefined for a page whose filter would be useless. */
interface RowsOfPage {
  rows: SearchRow[]
  tokens: Set<Token> | undefined
}

/** Rows in order of time, cut where a page has enough messages, bytes or tokens. */
export function paginate(rows: readonly SearchRow[], limits: SearchLimits): RowsOfPage[] {
  const pages: RowsOfPage[] = []
  let page: { rows: SearchRow[]; tokens: Set<Token>; bytes: number } | undefined
  for (const row of [...rows].sort((a, b) => a.timeSend - b.timeSend)) {
    const tokens = new Set<Token>()
    for (const text of row.texts) addTokens(text, tokens)
    const bytes = row.texts.reduce((sum, text) => sum + text.length, 0)
    const known = page?.tokens ?? tokens
    const fresh = [...tokens].filter((token) => !known.has(token)).length
    const isFull =
      page &&
      (page.rows.length >= limits.pageMessages ||
        page.bytes + bytes > limits.pageBytes ||
        page.tokens.size + fresh > limits.pageTokens)
    if (isFull) close()
    page ??= { rows: [], tokens: new Set(), bytes: 0 }
    page.rows.push(row)
    page.bytes += bytes
    for (const token of tokens) page.tokens.add(token)
  }
  close()
  return pages

  function close() {
    if (page) pages.push({ rows: page.rows, tokens: page.tokens.size > limits.pageTokens ? undefined : page.tokens })
    page = undefined
  }
}

async function mergeOnce(
  { filters, limits }: SearchIndex,
  conversation: string,
  level: 0 | 1,
  session: ClientSession,
): Promise<void> {
  const merged = await filters.oldest(conversation, level, limits.mergedFilters, session)
  if (merged.length < limits.mergedFilters) return
  const above: Level = level === 0 ? 1 : 2
  const filter = mergeFilters(
    merged.map((one) => one.filter),
    above,
  )
  const directory = Buffer.concat(merged.map((one) => one.directory))
  await filters.add({ conversation, users: usersOf(conversation) }, above, filter, directory, session)
  await filters.remove(
    merged.flatMap(({ documents }) => documents),
    session,
  )
}
