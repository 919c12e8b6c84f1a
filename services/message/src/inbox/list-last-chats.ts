import type { Params } from '@im/contracts'
import type { archive, LastChat } from '@im/contracts/message'
import { timeRange } from '../archive/time-range.ts'
import type { Deps } from '../deps.ts'
import { type InboxRow, isCommon, isNewer } from './inbox-repository.ts'
import { refreshChats } from './refresh-chats.ts'

/** "Everything" has an end: nobody has so many chats, and an answer of several megabytes helps nobody. */
const mostRows = 5000

/** The newest message of each single chat of a user, newest first. Rooms join the list when their members are known. */
export async function listLastChats(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  owner: number,
  params: Params<(typeof archive)['listLastChats']>,
): Promise<LastChat[]> {
  const size = params.pageSize ?? mostRows
  const skip = params.pageIndex * size
  const wanted = Math.min(skip + size, mostRows)
  const { from, before = Number.POSITIVE_INFINITY } = timeRange(params)
  let rows = await read()
  const now = deps.now()
  const expired = rows.filter(({ expireAt }) => expireAt && expireAt.getTime() <= now)
  if (expired.length) {
    const chats = expired.map(({ conversation }) => conversation)
    await deps.outbox.commit((change) => refreshChats(deps, chats, change.session))
    rows = await read()
  }
  return rows.slice(skip, wanted).map((row) => lastChat(row, owner))

  /** The upper bound counts after a chat's newest row is known: an older row of it must not come up instead. */
  async function read(): Promise<InboxRow[]> {
    const limit = before === Number.POSITIVE_INFINITY ? Math.min(wanted + spare, mostRows) : mostRows
    const found = await deps.inbox.list(owner, from, limit)
    const chats = newestOfEach(found)
    const isShort = chats.length < wanted && found.length === limit && limit < mostRows
    const all = isShort ? newestOfEach(await deps.inbox.list(owner, from, mostRows)) : chats
    return all.filter(({ timeSend }) => timeSend < before)
  }
}

function newestOfEach(rows: readonly InboxRow[]): InboxRow[] {
  const newest = new Map<string, InboxRow>()
  for (const row of rows) {
    const other = newest.get(row.conversation)
    if (!other || covers(row, other)) newest.set(row.conversation, row)
  }
  return [...newest.values()]
}

/** A common row that came after an own row of its chat is not older than that. */
const covers = (row: InboxRow, other: InboxRow) => isNewer(row, other) && (isCommon(row) || !isNewer(other, row))

/** Rows read beyond a page, for those that a newer row of their chat covers. */
const spare = 200

const lastChat = (row: InboxRow, owner: number): LastChat => ({
  jid: String(row.from === owner ? row.to : row.from),
  isRoom: 0,
  type: row.type,
  messageId: row.messageId,
  timeSend: Math.floor(row.timeSend),
  content: row.content,
  isEncrypt: row.isEncrypt ? 1 : 0,
  userId: String(owner),
  from: String(row.from),
  fromUserName: row.fromUserName,
  to: String(row.to),
  toUserName: row.toUserName,
})
