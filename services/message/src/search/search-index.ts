import type { Db } from 'mongodb'
import { SearchBacklog } from './backlog-repository.ts'
import { SearchedChats } from './chats-repository.ts'
import { Postings } from './postings-repository.ts'

/** The collections of the search, apart from the archive itself. */
export interface SearchIndex {
  postings: Postings
  chats: SearchedChats
  backlog: SearchBacklog
  createIndexes(): Promise<void>
}

export function openSearchIndex(db: Db): SearchIndex {
  const postings = new Postings(db)
  const chats = new SearchedChats(db)
  const backlog = new SearchBacklog(db)
  return {
    postings,
    chats,
    backlog,
    async createIndexes() {
      await postings.createIndexes()
      await chats.createIndexes()
    },
  }
}
