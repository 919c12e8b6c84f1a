import { setImmediate } from 'node:timers/promises'
import { ContractError, pageOf, type ResultOf } from '@im/contracts'
import type { MessageRow, RoomRow, search } from '@im/contracts/message'
import { ObjectId } from 'mongodb'
import type { ChatsRepository } from '../inbox/chats-repository.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import { messageRow, roomRow } from '../messages/message-row.ts'
import type { MessagesRepository } from '../messages/messages-repository.ts'
import { isSince, type JoinedRoom } from '../room-facts/joined-room.ts'
import type { RoomFacts } from '../room-facts/room-facts.ts'
import { roomsOrNone } from '../room-facts/rooms-of.ts'
import { findMatches } from './find-matches.ts'
import { findHighlights, foldWords, type Highlight } from './fold-text.ts'
import type { Match } from './newest-matches.ts'
import { ownerOfUser } from './owners.ts'
import type { SearchIndex } from './search-index.ts'
import type { SearchQueue } from './search-queue.ts'
import { type SearchParams, SearchScope, type Unseen } from './search-scope.ts'

export interface SearchDeps {
  messages: MessagesRepository
  chats: ChatsRepository
  searchIndex: SearchIndex
  searchQueue: SearchQueue
  /** Rooms the user is in now. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  roomFacts: RoomFacts
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
  const words = foldWords(params.keyword)
  if (!words.length) throw new ContractError('InvalidParams', { detail: 'keyword: empty' })
  return await deps.searchQueue.run(() => lookFor(deps, caller, params, words))
}

async function lookFor(
  deps: SearchDeps,
  caller: number,
  params: SearchParams,
  words: readonly string[],
): Promise<SearchPage> {
  const { receiver, pageIndex, pageSize } = params
  const { moment } = deps.roomFacts
  const rooms = receiver === undefined ? deps.roomsOf(caller) : Promise.resolve([])
  const joined = await (params.roomId === undefined ? roomsOrNone(rooms) : rooms)
  const unseen = await unseenBy(deps, caller)
  const scope = new SearchScope(caller, params, joined, unseen, deps.now())
  const found = scope.owners.length ? await findMatches(deps.searchIndex, scope, words, mostResults) : []
  const wanted = found.slice(pageIndex * pageSize, (pageIndex + 1) * pageSize)
  const rows = await readRows(deps, caller, { ...unseen, joined }, wanted)
  const page = pageOf(await withHighlights(rows, words), found.length, pageIndex, pageSize)
  const left = await deps.roomFacts.leftSince(moment, caller, joined)
  // What was found and counted may not be theirs.
  return left.size ? await lookFor(deps, caller, params, words) : page
}

/** Read before the index: what is removed later may be in the answer or not, what was removed before is not. */
async function unseenBy({ searchIndex, chats }: SearchDeps, caller: number): Promise<Unseen> {
  const [removed, clearedBefore] = await Promise.all([
    searchIndex.removals.of([ownerOfUser(caller)]),
    chats.clearedBy(caller),
  ])
  return { removed, clearedBefore }
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

/** The rows of a page, in its order. One that is removed at this very moment is left out: the archive has the last word. */
async function readRows(
  { messages, now }: SearchDeps,
  caller: number,
  { clearedBefore, joined }: Unseen & { joined: readonly JoinedRoom[] },
  wanted: readonly Match[],
): Promise<(MessageRow | RoomRow)[]> {
  if (!wanted.length) return []
  const found = await messages.collection
    .find({ _id: { $in: wanted.map(({ id }) => ObjectId.createFromHexString(id)) } })
    .toArray()
  const byId = new Map(found.map((message) => [message._id.toHexString(), message]))
  const rooms = new Map(joined.map((room) => [room.jid, room]))
  const isSeen = (message: MessageDocument) => {
    const room = message.roomJid === undefined ? undefined : rooms.get(message.roomJid)
    if (room && !isSince(room, message)) return false
    const peer = message.from === caller ? message.to : message.from
    const bound = message.to === undefined ? undefined : clearedBefore.get(peer!)
    return isVisible(message, { user: caller, clearedBefore: bound, now: now() })
  }
  return wanted.flatMap(({ id }) => {
    const message = byId.get(id)
    if (!message || !isSeen(message)) return []
    return [message.to === undefined ? roomRow(message) : messageRow(message, caller)]
  })
}
