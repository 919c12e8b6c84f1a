import {
  ContractError,
  type MessageRow,
  type Params,
  pageOf,
  type ResultOf,
  type RoomRow,
  type search,
} from '@im/contracts'
import type { Filter, ObjectId } from 'mongodb'
import { messageRow, roomRow } from '../archive/message-row.ts'
import {
  type MessageDocument,
  type Messages,
  roomConversation,
  singleConversation,
} from '../archive/messages-repository.ts'
import { timeRange } from '../archive/time-range.ts'
import type { Backlog } from './backlog-repository.ts'
import { type SearchedChat, usersOf } from './chats-repository.ts'
import { findHighlights, foldText, foldWords, holdsEveryWord } from './fold-text.ts'
import type { FoundPosting } from './postings-repository.ts'
import type { SearchIndex } from './search-index.ts'
import { conversationKey, type Probe, probesFor, senderProbe, typeProbe } from './tokens.ts'
import { type Lane, walkNewest } from './walk-newest.ts'

/** A room the caller is in. */
export interface JoinedRoom {
  roomId: string
  jid: string
  /** Messages before this moment (seconds) are not his. */
  joinedAt: number
}

export interface SearchDeps {
  messages: Messages
  searchIndex: SearchIndex
  /** Rooms the user is in now. */
  roomsOf: (userId: number) => Promise<JoinedRoom[]>
  now: () => number
}

type SearchParams = Params<(typeof search)['searchMessages']>
type SearchPage = ResultOf<(typeof search)['searchMessages']>

/** `total` is exact up to here, and no row below is shown: a keyword with more answers is narrowed by time or chat. */
const mostResults = 1000
/** A search that takes longer (ms) fails: an answer is complete or none. */
const patience = 10_000
/** Ranges of one query: MongoDB merges up to 200 by time without reading them whole. */
const tokensPerQuery = 150
/** Up to here the questions to the index are compared before the rarest is chosen. */
const comparedProbes = 2
const countedUpTo = 300
const day = 86_400

interface Scope {
  conversation: string
  hasLong: boolean
  since?: number
}

interface Match {
  _id: ObjectId
  timeSend: number
  ts: number
}

/**
 * The newest messages the caller can see that hold every word of the keyword, as a scan of all of them would find (spec
 * 07-message.md, Search). The index proposes, the archive decides: what is not indexed yet is read from the archive, and
 * what is found is shown only if it is still visible there.
 */
export async function searchMessages(deps: SearchDeps, caller: number, params: SearchParams): Promise<SearchPage> {
  const { pageIndex, pageSize } = params
  const words = foldWords(params.keyword)
  if (!words.length) throw new ContractError('InvalidParams', { detail: 'keyword: empty' })
  const found = await findMatches(deps, caller, params, words)
  const total = found.length
  const wanted = found.slice(pageIndex * pageSize, (pageIndex + 1) * pageSize)
  const rows = await readRows(deps, caller, wanted)
  return pageOf(
    rows.map((row) => ({ ...row, highlights: findHighlights(row.content, words) })),
    total,
    pageIndex,
    pageSize,
  )
}

/** All matches in order, at most `mostResults`. */
async function findMatches(
  deps: SearchDeps,
  caller: number,
  params: SearchParams,
  words: readonly string[],
): Promise<Match[]> {
  const { postings, backlog } = deps.searchIndex
  const started = Date.now()
  const rooms = await roomsIn(deps, caller, params)
  // The backlog is read before the index: what leaves it in between is in the index by then.
  const waiting = await backlog.all()
  const scopes = await scopesOf(deps, caller, params, rooms)
  const late = await findLate(deps, caller, params, words, waiting, rooms)
  const found: Match[] = []
  if (!scopes.size) return late.matches.sort(newestFirst).slice(0, mostResults)

  const range = timeRange(params)
  const facts = { fromUserId: params.fromUserId, contentType: params.contentType }
  const probe = await chooseProbe(deps, [...scopes.values()], params, words)
  const lanes = lanesFor([...scopes.values()], probe)
  const steps = walkNewest(
    (query, limit) => postings.newest({ ...query, ...facts }, limit),
    lanes,
    range,
    probe.isSingle && scopes.size > 1 ? windowsBelow(Math.min(deps.now() / 1000, range.before ?? Infinity)) : [],
    Math.ceil((mostResults * 1.2) / lanes.length) + 50,
  )
  let unplaced = late.matches
  for await (const { rows, downTo, above } of steps) {
    const fresh = rows.filter((row) => !late.examined.has(row._id.toHexString()) && isInScope(row))
    const isPlaced = ({ timeSend }: Match) => (above ? timeSend > downTo : timeSend >= downTo)
    const matches = [...(await stillVisible(deps, caller, fresh, words)), ...unplaced.filter(isPlaced)]
    unplaced = unplaced.filter((match) => !isPlaced(match))
    found.push(...matches.sort(newestFirst))
    if (found.length >= mostResults) break
    if (Date.now() - started > patience)
      throw new ContractError('ServiceUnavailable', { detail: 'keyword: too common' })
  }
  return found.slice(0, mostResults)

  function isInScope(row: FoundPosting): boolean {
    const scope = scopes.get(row.conversation)
    return scope !== undefined && row.timeSend >= (scope.since ?? 0)
  }
}

const newestFirst = (a: Match, b: Match) =>
  b.timeSend - a.timeSend || b.ts - a.ts || (a._id.toHexString() < b._id.toHexString() ? 1 : -1)

/** Each window eight times as long as the one before: few when the answers are near, few when they are far. */
const windowsBelow = (top: number) => [14, 112, 896].map((days) => top - days * day)

/** Rooms the search looks into, by conversation; none when it is about a single chat. */
async function roomsIn(deps: SearchDeps, caller: number, params: SearchParams): Promise<Map<string, JoinedRoom>> {
  if (params.receiver !== undefined) return new Map()
  const rooms = await deps.roomsOf(caller)
  const wanted = params.roomId
  return new Map(
    rooms
      .filter(({ roomId, jid }) => wanted === undefined || roomId === wanted || jid === wanted)
      .map((room) => [roomConversation(room.jid), room]),
  )
}

/** The single chat the search is limited to. A message to oneself is never archived. */
const onlyChat = (caller: number, { receiver }: SearchParams) =>
  receiver === undefined ? undefined : singleConversation(caller, receiver)

/** The conversations of the index the search looks into. */
async function scopesOf(
  { searchIndex: { chats } }: SearchDeps,
  caller: number,
  params: SearchParams,
  rooms: Map<string, JoinedRoom>,
): Promise<Map<string, Scope>> {
  const chat = onlyChat(caller, params)
  const [single, joined] = await Promise.all([
    chat !== undefined ? chats.among([chat]) : params.roomId === undefined ? chats.ofUser(caller) : [],
    chats.among([...rooms.keys()]),
  ])
  const scope = ({ _id, hasLong }: SearchedChat): [string, Scope] => [
    _id,
    { conversation: _id, hasLong, since: rooms.get(_id)?.joinedAt },
  ]
  return new Map([...single, ...joined].map(scope))
}

/** Messages that still wait for the index, compared one by one. `examined` are their ids. */
async function findLate(
  { messages, now }: SearchDeps,
  caller: number,
  params: SearchParams,
  words: readonly string[],
  waiting: readonly Backlog[],
  rooms: Map<string, JoinedRoom>,
): Promise<{ matches: Match[]; examined: Set<string> }> {
  const chat = onlyChat(caller, params)
  const examined = new Set<string>()
  const ids = waiting.flatMap(({ rows }) => rows.filter((row) => isAskedFor(row.conversation)).map(({ id }) => id))
  if (!ids.length) return { matches: [], examined }
  const { from, before } = timeRange(params)
  const matches: Match[] = []
  const found = messages.collection
    .find({
      _id: { $in: ids },
      ...visibleTo(caller, now()),
      ...(from === undefined && before === undefined
        ? {}
        : {
            timeSend: {
              ...(from === undefined ? {} : { $gte: from }),
              ...(before === undefined ? {} : { $lt: before }),
            },
          }),
      ...(params.fromUserId === undefined ? {} : { from: params.fromUserId }),
      ...(params.contentType === undefined ? {} : { contentType: params.contentType }),
    })
    .project<MessageDocument>({ conversation: 1, timeSend: 1, ts: 1, contentType: 1, content: 1, fileName: 1 })
  for await (const message of found) {
    const id = message._id.toHexString()
    if (examined.has(id)) continue
    examined.add(id)
    if (message.timeSend < (rooms.get(message.conversation)?.joinedAt ?? 0)) continue
    if (matchesWords(searchedTexts(message), words)) matches.push(message)
  }
  return { matches, examined }

  function isAskedFor(conversation: string): boolean {
    if (chat !== undefined) return conversation === chat
    return rooms.has(conversation) || (params.roomId === undefined && usersOf(conversation).includes(caller))
  }
}

/** Folded texts of a message: the name of a file beside its content. */
export const searchedTexts = ({
  contentType,
  content,
  fileName,
}: Pick<MessageDocument, 'contentType' | 'content' | 'fileName'>): string[] =>
  contentType === fileType && fileName ? [foldText(content), foldText(fileName)] : [foldText(content)]
const fileType = 9

/** Each word in one of the texts. */
const matchesWords = (texts: readonly string[], words: readonly string[]) =>
  texts.length === 1
    ? holdsEveryWord(texts[0]!, words)
    : words.every((word) => texts.some((text) => text.includes(word)))

const visibleTo = (userId: number, now: number): Filter<MessageDocument> => ({
  searchable: true,
  deletedFor: { $ne: userId },
  expireAt: { $not: { $lte: new Date(now) } },
})

/** The question with the fewest answers, among the likeliest few. */
async function chooseProbe(
  { searchIndex: { postings } }: SearchDeps,
  scopes: Scope[],
  params: SearchParams,
  words: readonly string[],
): Promise<Probe> {
  const candidates = probesFor(words).slice(0, comparedProbes)
  if (params.fromUserId !== undefined) candidates.push(senderProbe(params.fromUserId))
  const ofType = params.contentType === undefined ? undefined : typeProbe(params.contentType)
  if (ofType) candidates.push(ofType)
  if (candidates.length === 1) return candidates[0]!
  const counts = await Promise.all(
    candidates.map(async (probe) => {
      const perLane = lanesFor(scopes, probe).map(({ tokens }) => postings.count({ tokens, timeSend: {} }, countedUpTo))
      return (await Promise.all(perLane)).reduce((sum, count) => sum + count, 0)
    }),
  )
  return candidates[counts.indexOf(Math.min(...counts))]!
}

/** Few queries for many conversations; rooms joined at about the same time share one, and its bound. */
function lanesFor(scopes: readonly Scope[], probe: Probe): Lane[] {
  const lanes: { tokens: string[]; since?: number }[] = []
  const inOrder = [...scopes].sort((a, b) => (a.since ?? 0) - (b.since ?? 0))
  for (const { conversation, hasLong, since } of inOrder) {
    const key = conversationKey(conversation)
    const tokens = [key + probe.short, ...(hasLong ? probe.long.map((token) => key + token) : [])]
    const last = lanes.at(-1)
    if (last && last.tokens.length < tokensPerQuery && (last.since === undefined) === (since === undefined))
      last.tokens.push(...tokens)
    else lanes.push({ tokens, since })
  }
  return lanes
}

const verifiedAtOnce = 500

/** Of the proposed messages those that hold the words and that the caller can still see. Long texts are read for it. */
async function stillVisible(
  { messages, now }: SearchDeps,
  caller: number,
  proposed: readonly FoundPosting[],
  words: readonly string[],
): Promise<Match[]> {
  const candidates = proposed.filter(({ texts }) => !texts || matchesWords(texts, words)).sort(newestFirst)
  const visible: Match[] = []
  for (let at = 0; at < candidates.length && visible.length < mostResults; at += verifiedAtOnce) {
    const some = candidates.slice(at, at + verifiedAtOnce)
    const [short, long] = [some.filter(({ texts }) => texts), some.filter(({ texts }) => !texts)]
    const [seen, read] = await Promise.all([seenAmong(short), readAmong(long)])
    visible.push(
      ...some.filter(({ _id, texts }) => {
        const id = _id.toHexString()
        return texts ? seen.has(id) : matchesWords(read.get(id) ?? [], words) && read.has(id)
      }),
    )
  }
  return visible

  async function seenAmong(postings: FoundPosting[]): Promise<Set<string>> {
    if (!postings.length) return new Set()
    const found = await messages.collection
      .find({ _id: { $in: postings.map(({ _id }) => _id) }, ...visibleTo(caller, now()) })
      .project<{ _id: ObjectId }>({ _id: 1 })
      .batchSize(verifiedAtOnce)
      .toArray()
    return new Set(found.map(({ _id }) => _id.toHexString()))
  }

  async function readAmong(postings: FoundPosting[]): Promise<Map<string, string[]>> {
    if (!postings.length) return new Map()
    const found = await messages.collection
      .find({ _id: { $in: postings.map(({ _id }) => _id) }, ...visibleTo(caller, now()) })
      .project<MessageDocument>({ contentType: 1, content: 1, fileName: 1 })
      .toArray()
    return new Map(found.map((message) => [message._id.toHexString(), searchedTexts(message)]))
  }
}

/** The rows of a page, in its order. One that is removed at this very moment is left out. */
async function readRows(
  { messages }: SearchDeps,
  caller: number,
  wanted: readonly Match[],
): Promise<(MessageRow | RoomRow)[]> {
  if (!wanted.length) return []
  const found = await messages.collection
    .find({ _id: { $in: wanted.map(({ _id }) => _id) }, searchable: true })
    .toArray()
  const byId = new Map(found.map((message) => [message._id.toHexString(), message]))
  return wanted.flatMap(({ _id }) => {
    const message = byId.get(_id.toHexString())
    if (!message) return []
    return [message.to === undefined ? roomRow(message) : messageRow(message, caller)]
  })
}
