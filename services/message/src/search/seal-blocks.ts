import { type ClientSession, ObjectId } from 'mongodb'
import { usersOf } from '../archive/conversations.ts'
import type { Block } from './blocks-repository.ts'
import { type Column, packDirectory } from './filters-repository.ts'
import { packRows, type SearchRow, summaryOf, unpackRows } from './packed-rows.ts'
import { addTokens, buildFilter, type Level, mergeFilters, type Token } from './page-filter.ts'
import type { Page } from './pages-repository.ts'
import type { SearchIndex } from './search-index.ts'
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
  const columns = columnsOf(
    sealed.flatMap(({ rows }) => [...unpackRows(rows)]),
    limits,
  )
  const filter = buildFilter(columns.map(({ tokens }) => tokens))
  const { pages, directory } = pagesOf(conversation, columns, limits.pageColumns)
  await index.pages.add(pages, session)
  const owner = { conversation, users: usersOf(conversation) }
  await index.filters.add(owner, 0, filter, packDirectory(directory, filter.width), session)
  await index.blocks.remove(
    sealed.map(({ _id }) => _id),
    session,
  )
  return true
}

/** Messages that a column of the filter stands for. `tokens` is undefined where a filter would be useless. */
interface ColumnRows {
  rows: SearchRow[]
  tokens: Set<Token> | undefined
}

/** Rows in order of time, cut where a column has enough messages, bytes or tokens. */
export function columnsOf(rows: readonly SearchRow[], limits: SearchLimits): ColumnRows[] {
  const columns: ColumnRows[] = []
  let column: { rows: SearchRow[]; tokens: Set<Token>; bytes: number } | undefined
  for (const row of [...rows].sort((a, b) => a.timeSend - b.timeSend)) {
    const tokens = new Set<Token>()
    for (const text of row.texts) addTokens(text, tokens)
    const bytes = row.texts.reduce((sum, text) => sum + text.length, 0)
    const known = column?.tokens ?? tokens
    const fresh = [...tokens].filter((token) => !known.has(token)).length
    const isFull =
      column &&
      (column.rows.length >= limits.columnMessages ||
        column.bytes + bytes > limits.columnBytes ||
        column.tokens.size + fresh > limits.columnTokens)
    if (isFull) close()
    column ??= { rows: [], tokens: new Set(), bytes: 0 }
    column.rows.push(row)
    column.bytes += bytes
    for (const token of tokens) column.tokens.add(token)
  }
  close()
  return columns

  function close() {
    if (column)
      columns.push({ rows: column.rows, tokens: column.tokens.size > limits.columnTokens ? undefined : column.tokens })
    column = undefined
  }
}

/** Each page has the rows of a few columns that follow each other. */
function pagesOf(conversation: string, columns: readonly ColumnRows[], pageColumns: number) {
  const pages: Page[] = []
  const directory: Column[] = []
  for (let at = 0; at < columns.length; at += pageColumns) {
    const _id = new ObjectId()
    const packed = columns.slice(at, at + pageColumns).map(({ rows }) => packRows(rows))
    for (const rows of packed) {
      const { minTime, maxTime } = summaryOf(rows)
      directory.push({ page: _id, minTime, maxTime })
    }
    const rows = Buffer.concat(packed)
    pages.push({ _id, conversation, rows, ...summaryOf(rows) })
  }
  return { pages, directory }
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
