import { setImmediate } from 'node:timers/promises'
import { ContractError, pageOf, type ResultOf } from '@im/contracts'
import type { MessageRow, RoomRow, search } from '@im/contracts/message'
import { ObjectId } from 'mongodb'
import { messageRow, roomRow } from '../archive/message-row.ts'
import type { MessagesRepository } from '../archive/messages-repository.ts'
import type { ChatsRepository } from '../inbox/chats-repository.ts'
import { findMatches } from './find-matches.ts'
import { findHighlights, foldWords, type Highlight } from './fold-text.ts'
import type { Match } from './newest-matches.ts'
import type { SearchIndex } from './search-index.ts'
import { type JoinedRoom, type SearchParams, SearchScope } from './search-scope.ts'

export interface SearchDeps {
  messages: MessagesRepository
  chats: ChatsRepository
  searchIndex: SearchIndex
  /** Rooms the user is in now. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  now: () => number
}

type SearchPage = ResultOf<(typeof search)['searchMessages']>

/** `total` is exact up to here, and no row below is shown: a keyword with more answers is narrowed by time or chat. */
const mostResults = 1000

/**
 * The newest messages the caller can see that hold every word of the keyword, as a scan of all of them would find (spec
 * 07-message.md, Search).
 */
export async function searchMessages(deps: SearchDeps, caller: number, params: SearchParams): Promise<SearchPage> {
  const { receiver, pageIndex, pageSize } = params
  const words = foldWords(params.keyword)
  if (!words.length) throw new ContractError('InvalidParams', { detail: 'keyword: empty' })
  const joined = receiver === undefined ? await deps.roomsOf(caller) : []
  const scope = new SearchScope(caller, params, joined, deps.now())
  const found = scope.owners.length ? await findMatches(deps, caller, scope, words, mostResults) : []
  const rows = await readRows(deps, caller, found.slice(pageIndex * pageSize, (pageIndex + 1) * pageSize))
  return pageOf(await withHighlights(rows, words), found.length, pageIndex, pageSize)
}

/** Texts are up to 64 KiB, and finding places in a folded one takes up to a tenth of a second: others get a turn in between. */
async function withHighlights<R extends MessageRow | RoomRow>(rows: readonly R[], words: readonly string[]) {
  const highlighted: (R & { highlights: Highlight[] })[] = []
  for (const row of rows) {
    if (row.content.length > longText) await setImmediate()
    highlighted.push({ ...row, highlights: findHighlights(row.content, words) })
  }
  return highlighted
}
const longText = 2000

/** The rows of a page, in its order. One that is removed at this very moment is left out. */
async function readRows(
  { messages }: SearchDeps,
  caller: number,
  wanted: readonly Match[],
): Promise<(MessageRow | RoomRow)[]> {
  if (!wanted.length) return []
  const found = await messages.collection
    .find({ _id: { $in: wanted.map(({ id }) => ObjectId.createFromHexString(id)) }, searchable: true })
    .toArray()
  const byId = new Map(found.map((message) => [message._id.toHexString(), message]))
  return wanted.flatMap(({ id }) => {
    const message = byId.get(id)
    if (!message) return []
    return [message.to === undefined ? roomRow(message) : messageRow(message, caller)]
  })
}
