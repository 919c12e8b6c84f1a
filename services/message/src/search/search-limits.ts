import { maxColumnTokens } from './page-filter.ts'

/** Sizes of the parts of the index. Tests make them small, so that few messages reach every stage. */
export interface SearchLimits {
  /** Messages and bytes the indexer moves in one transaction, about. */
  stepMessages: number
  stepBytes: number
  /** Messages that are taken out of the index in one transaction. */
  stepRemovals: number
  /** A node that has so many documents is joined to one; one that has so many messages or bytes is emptied downwards. */
  nodeDocuments: number
  nodeMessages: number
  nodeBytes: number
  /** An owner who has so many messages in a node that is emptied gets pages of them. */
  sealMessages: number
  sealBytes: number
  /** A column of the filter stands for up to so many messages, bytes, tokens. */
  columnMessages: number
  columnBytes: number
  columnTokens: number
  /** Columns whose messages lie on one page: reading a document costs more than what is in it. */
  pageColumns: number
  /** So many filters of one level become one of the next, as long as they have no more bytes. */
  mergedFilters: number
  mergedBytes: number
}

export const defaultLimits: SearchLimits = {
  stepMessages: 4000,
  stepBytes: 2 * 2 ** 20,
  stepRemovals: 200,
  nodeDocuments: 32,
  nodeMessages: 1024,
  nodeBytes: 256 * 1024,
  sealMessages: 512,
  sealBytes: 256 * 1024,
  columnMessages: 128,
  columnBytes: 128 * 1024,
  columnTokens: maxColumnTokens,
  pageColumns: 2,
  mergedFilters: 8,
  mergedBytes: 4 * 2 ** 20,
}
