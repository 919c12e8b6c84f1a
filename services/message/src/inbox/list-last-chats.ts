import { type Caller, ContractError, type Params } from '@im/contracts'
import type { archive, LastChat } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import { timeRange } from '../messages/time-range.ts'
import { type Chat, type ListPlace, sideOf } from './chats-repository.ts'
import { type ListedChat, listRoomChats, type RoomChatDeps } from './list-room-chats.ts'
import { refreshChats } from './refresh-chats.ts'

/** Rows of an answer without a size: an answer of many megabytes helps nobody. Further pages hold the rest. */
const mostRows = 5000
/** Rows that may be skipped when the page before is not known any more. */
const maxSkip = 10_000
/** A message stands at most a day below the moment it came (`orderKey`), and may wait for the archive a little. */
const mostLate = 25 * 3600
/** What is shown is looked up again as often; each time a message of the page has just been lost. */
const mostTries = 5

type ListDeps = Pick<Deps, 'messages' | 'chats' | 'outbox' | 'cursors'> & RoomChatDeps
type ListParams = Params<(typeof archive)['listLastChats']>

/** What is kept between two pages. */
interface PageEnd {
  below: ListPlace
  /** The chats that were given so far. */
  given: string[]
  /** When the first page was read, in seconds. */
  since: number
}

/**
 * The newest message of each single chat and each room of a user, newest first. A chat that moves up between two pages is
 * neither missed nor given twice: the next page begins with those that came above its end and were not given yet.
 */
export async function listLastChats(deps: ListDeps, caller: Caller, params: ListParams): Promise<LastChat[]> {
  const { pageIndex, ...query } = params
  const { chats, cursors } = deps
  const size = query.pageSize ?? mostRows
  const user = caller.userId
  const range = timeRange(query)
  const now = deps.now()
  const end = pageIndex > 0 ? await endOfPageBefore() : undefined
  if (pageIndex > 0 && !end) return []
  const given = new Set(end?.given)
  const rooms = (await listRoomChats(deps, user, range)).filter(({ conversation }) => !given.has(conversation))
  for (let tries = 1; ; tries++) {
    const singles = end ? await readPageAfter(end) : await chats.list(user, range, size, now)
    const { listed, lost } = await listedOf(deps, user, singles)
    if (lost.length && tries < mostTries) {
      await refreshChats(deps, lost)
      continue
    }
    const page = [...listed, ...rooms].sort(byPlace).slice(0, size)
    if (page.length === size) await cursors.keep(caller, query, pageIndex, endOf(page, end))
    return page.map(({ row }) => row)
  }

  async function readPageAfter({ below, given, since }: PageEnd): Promise<Chat[]> {
    const known = new Set(given)
    const isFresh = (chat: Chat) => !known.has(chat._id)
    const recent = { ...range, from: Math.max(range.from ?? 0, below.timeSend, since - mostLate) }
    const above = await chats.list(user, recent, given.length + mostRows, now)
    const page = above.filter((chat) => isFresh(chat) && isAbove(placeOf(chat, user), below))
    // A chat that was given may stand below by now, because what it showed was recalled.
    for (let place = below; page.length < size; ) {
      const some = await chats.list(user, { ...range, below: place }, size, now)
      page.push(...some.filter(isFresh))
      if (some.length < size) break
      place = placeOf(some.at(-1)!, user)
    }
    return page.slice(0, size)
  }

  async function endOfPageBefore(): Promise<PageEnd | undefined> {
    const kept = await cursors.after<PageEnd>(caller, query, pageIndex - 1)
    if (kept) return kept
    const skipped = pageIndex * size
    if (skipped > maxSkip) throw new ContractError('InvalidParams', { detail: 'pageIndex: too deep, use endTime' })
    const singles = (await chats.list(user, range, skipped, now)).map((chat) => placeOf(chat, user))
    const before = [...singles, ...(await listRoomChats(deps, user, range))].sort(byPlace).slice(0, skipped)
    return before.length < skipped ? undefined : endOf(before)
  }

  function endOf(page: readonly ListPlace[], before?: PageEnd): PageEnd {
    const { timeSend, conversation } = page.at(-1)!
    const last = { timeSend, conversation }
    return {
      below: before && isAbove(last, before.below) ? before.below : last,
      given: [...(before?.given ?? []), ...page.map((chat) => chat.conversation)],
      since: before?.since ?? now / 1000,
    }
  }
}

const placeOf = (chat: Chat, user: number): ListPlace => ({
  timeSend: sideOf(chat, user).timeSend ?? 0,
  conversation: chat._id,
})

const isAbove = (a: ListPlace, b: ListPlace) =>
  a.timeSend > b.timeSend || (a.timeSend === b.timeSend && a.conversation > b.conversation)

const byPlace = (a: ListPlace, b: ListPlace) => (isAbove(a, b) ? -1 : 1)

/** Looks up what the chats show: `lost` are those messages the user does not see any more. */
async function listedOf({ messages, now }: ListDeps, user: number, chats: readonly Chat[]) {
  const shown = await messages.forList(chats.flatMap((chat) => sideOf(chat, user).shown ?? []))
  const listed: ListedChat[] = []
  const lost: { _id: NonNullable<Chat['low']['shown']>; conversation: string }[] = []
  for (const chat of chats) {
    const side = sideOf(chat, user)
    const message = shown.get(side.shown!.toHexString())
    if (message && isVisible(message, { ...side, now: now() }))
      listed.push({ ...placeOf(chat, user), row: lastChat(message, user) })
    else lost.push({ _id: side.shown!, conversation: chat._id })
  }
  return { listed, lost }
}

const lastChat = (message: MessageDocument, user: number): LastChat => ({
  jid: String(message.from === user ? message.to : message.from),
  isRoom: 0,
  type: message.contentType,
  messageId: message.messageId,
  timeSend: Math.floor(message.timeSend),
  content: message.content,
  isEncrypt: message.isEncrypt ? 1 : 0,
  userId: String(user),
  from: String(message.from),
  fromUserName: message.nickname ?? '',
  to: String(message.to),
  toUserName: message.toName ?? '',
})
