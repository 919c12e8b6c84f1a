import { type ClientSession, ObjectId } from 'mongodb'
import {
  columnAt,
  directoryNumber,
  type FilterSlice,
  levels,
  numberOfSlice,
  widthOfDirectory,
} from './filters-repository.ts'
import { type Level, narrow, sliceOf, type Token, tokensToAsk } from './page-filter.ts'
import type { SearchIndex } from './search-index.ts'
import type { SearchScope } from './search-scope.ts'

export interface CandidatePage {
  id: ObjectId
  /** Of those of its messages that may hold the words. */
  maxTime: number
}

/** One slice of each filter is read per token; more tokens would save few pages. */
const tokensAsked = 2
/** In one query: more of them take the stand-in longer than several queries. */
const ownersAtOnce = 20

/** The pages of the scope that may hold the words, by what their filters say, newest first. */
export async function candidatePages(
  { filters }: Pick<SearchIndex, 'filters'>,
  scope: SearchScope,
  words: readonly string[],
  session: ClientSession,
): Promise<CandidatePage[]> {
  const tokens = tokensToAsk(words, tokensAsked)
  const slices = levels.flatMap((level) => [directoryNumber(level), ...slicesToRead(level, tokens)])
  const newest = new Map<string, number>()
  for (let at = 0; at < scope.owners.length; at += ownersAtOnce) {
    const owners = scope.owners.slice(at, at + ownersAtOnce)
    const found = await filters.of(owners, [...new Set(slices)], session)
    for (const group of Map.groupBy(found, ({ filter }) => filter.toHexString()).values())
      for (const { page, maxTime } of candidatesOf(group, tokens, scope))
        newest.set(page, Math.max(maxTime, newest.get(page) ?? maxTime))
  }
  return [...newest]
    .map(([page, maxTime]) => ({ id: ObjectId.createFromHexString(page), maxTime }))
    .sort((a, b) => b.maxTime - a.maxTime)
}

const slicesToRead = (level: Level, tokens: readonly Token[]) =>
  tokens.map((token) => numberOfSlice(level, sliceOf(token, level)))

function* candidatesOf(group: readonly FilterSlice[], tokens: readonly Token[], scope: SearchScope) {
  const bySlice = new Map(group.map((document) => [document.slice, document]))
  const level = levels.find((one) => bySlice.has(directoryNumber(one)))!
  const directory = bySlice.get(directoryNumber(level))!
  const candidates = Buffer.alloc(widthOfDirectory(directory.bytes), 0xff)
  for (const token of tokens) {
    const slice = bySlice.get(numberOfSlice(level, sliceOf(token, level)))!
    narrow(candidates, token, slice.bytes, level)
  }
  for (const [byte, bits] of candidates.entries())
    for (let bit = 0; bits >> bit; bit++) {
      const column = bits & (1 << bit) ? columnAt(directory.bytes, byte * 8 + bit) : undefined
      if (column && scope.overlaps(directory.owner, column)) yield column
    }
}
