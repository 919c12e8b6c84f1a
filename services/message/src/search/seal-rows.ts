import { setImmediate as turn } from 'node:timers/promises'
import { type ClientSession, ObjectId } from 'mongodb'
import { type Column, type Directory, packDirectory } from './filters-repository.ts'
import type { Owner } from './owners.ts'
import { packRows, type SearchRow, summaryOf, unpackRows } from './packed-rows.ts'
import { addTokens, buildFilter, type Level, mergeFilters, type Token } from './page-filter.ts'
import type { Page } from './pages-repository.ts'
import type { SearchIndex } from './search-index.ts'
import type { SearchLimits } from './search-limits.ts'

/** How long (ms) texts are looked at before whatever else there is to do goes on. */
const slice = 5

/** Makes pages of rows of one owner, and the filter that leads to them. */
export async function sealRows(index: SearchIndex, owner: Owner, rows: Buffer, session: ClientSession): Promise<void> {
  const columns = await columnsOf([...unpackRows(rows)], index.limits)
  const filter = buildFilter(columns.map(({ tokens }) => tokens))
  const { pages, directory } = pagesOf(owner, columns, index.limits.pageColumns)
  const count = pages.reduce((sum, page) => sum + page.count, 0)
  await index.pages.add(pages, session)
  await index.filters.add({ owner, count, lost: 0 }, 0, filter, packDirectory(directory, filter.width), session)
}

/** Merges the filters of an owner as long as one level has enough of them: fewer documents for a search to read. */
export async function mergeOwnFilters(index: SearchIndex, owner: Owner): Promise<void> {
  for (const level of [0, 1] as const)
    while ((await index.filters.count(owner, level)) >= index.limits.mergedFilters)
      await index.transaction((session) => mergeOnce(index, owner, level, session))
}

async function mergeOnce({ filters, limits }: SearchIndex, owner: Owner, level: 0 | 1, session: ClientSession) {
  const sizes = { limit: limits.mergedFilters, bytes: limits.mergedBytes }
  const merged = await filters.oldest(owner, level, sizes, session)
  if (!merged.length) return
  const above: Level = level === 0 ? 1 : 2
  const filter = mergeFilters(
    merged.map((one) => one.filter),
    above,
  )
  const sum = (field: 'count' | 'lost') => merged.reduce((total, { directory }) => total + directory[field], 0)
  const directory = Buffer.concat(merged.map((one) => one.directory.bytes))
  await filters.add({ owner, count: sum('count'), lost: sum('lost') }, above, filter, directory, session)
  await filters.remove(
    merged.flatMap(({ documents }) => documents),
    session,
  )
}

/** A filter half of whose messages are gone is worth making anew. */
export const isWorn = ({ count, lost }: Pick<Directory, 'count' | 'lost'>) => lost * 2 >= count

/** Messages that a column of the filter stands for. `tokens` is undefined where a filter would be useless. */
interface ColumnRows {
  rows: SearchRow[]
  tokens: Set<Token> | undefined
}

/** Rows in order of time, cut where a column has enough messages, bytes or tokens. */
export async function columnsOf(rows: readonly SearchRow[], limits: SearchLimits): Promise<ColumnRows[]> {
  const columns: ColumnRows[] = []
  let column: { rows: SearchRow[]; tokens: Set<Token>; bytes: number } | undefined
  let since = performance.now()
  for (const row of [...rows].sort((a, b) => a.timeSend - b.timeSend)) {
    if (performance.now() - since > slice) {
      await turn()
      since = performance.now()
    }
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
function pagesOf(owner: Owner, columns: readonly ColumnRows[], pageColumns: number) {
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
    pages.push({ _id, owner, rows, ...summaryOf(rows) })
  }
  return { pages, directory }
}
