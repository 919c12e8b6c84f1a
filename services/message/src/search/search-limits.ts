import { maxColumnTokens } from './page-filter.ts'

/** Sizes of the parts of the index. Tests make them small, so that few messages reach every stage. */
export interface SearchLimits {
  /** Messages and bytes the indexer moves in one transaction, about. */
  stepMessages: number
  stepBytes: number
  /** A block takes rows until it has so many messages or bytes. */
  blockMessages: number
  blockBytes: number
  /** So many messages of a conversation in full blocks are sealed: they become pages. */
  sealMessages: number
  /** A column of the filter stands for up to so many messages, bytes, tokens. */
  columnMessages: number
  columnBytes: number
  columnTokens: number
  /** Columns whose messages lie on one page: reading a document costs more than what is in it. */
  pageColumns: number
  /** So many filters of one level become one of the next. */
  mergedFilters: number
}

export const defaultLimits: SearchLimits = {
  stepMessages: 2000,
  stepBytes: 4 * 2 ** 20,
  blockMessages: 64,
  blockBytes: 256 * 1024,
  sealMessages: 512,
  columnMessages: 128,
  columnBytes: 128 * 1024,
  columnTokens: maxColumnTokens,
  pageColumns: 2,
  mergedFilters: 8,
}
