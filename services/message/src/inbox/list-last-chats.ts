import type { archive, LastChat, Params } from '@im/contracts'
import { timeRange } from '../archive/time-range.ts'
import type { Deps } from '../deps.ts'
import type { InboxRow } from './inbox-repository.ts'
import { moveExpired } from './move-expired.ts'

/** "Everything" has an end: nobody has so many chats, and an answer of several megabytes helps nobody. */
const mostRows = 5000
const maxSkip = 10_000

/** The newest message of each single chat of a user, newest first. Rooms join the list when their members are known. */
export async function listLastChats(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  owner: number,
  params: Params<(typeof archive)['listLastChats']>,
): Promise<LastChat[]> {
  await moveExpired(deps, owner)
  const limit = params.pageSize ?? mostRows
  const skip = params.pageIndex * limit
  if (skip > maxSkip) return []
  const rows = await deps.inbox.page(owner, { ...timeRange(params), skip, limit })
  return rows.map(lastChat)
}

const lastChat = (row: InboxRow): LastChat => ({
  jid: String(row.peer),
  isRoom: 0,
  type: row.type,
  messageId: row.messageId,
  timeSend: Math.floor(row.timeSend),
  content: row.content,
  isEncrypt: row.isEncrypt ? 1 : 0,
  userId: String(row.owner),
  from: String(row.from),
  fromUserName: row.fromUserName,
  to: String(row.to),
  toUserName: row.toUserName,
})
