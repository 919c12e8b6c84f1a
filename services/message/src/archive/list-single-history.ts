import { ContractError, type Params } from '@im/contracts'
import type { archive, MessageRow } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { messageRow } from './message-row.ts'
import { type MessageDocument, singleConversation } from './messages-repository.ts'
import { timeRange } from './time-range.ts'

/** Rows that may be skipped when the end of the page before is not known any more. */
const maxSkip = 10_000

/**
 * A page of a single chat, newest first. A page deep in the history without the pages before it (their ends are remembered
 * for ten minutes) is refused: InvalidParams says to narrow `endTime`.
 */
export async function listSingleHistory(
  { messages, inbox, cursors }: Pick<Deps, 'messages' | 'inbox' | 'cursors'>,
  owner: number,
  params: Params<(typeof archive)['listSingleHistory']>,
): Promise<MessageRow[]> {
  const { receiver, pageIndex, pageSize, maxType } = params
  if (receiver === owner) return []
  const range = { conversation: singleConversation(owner, receiver), owner, maxType, ...timeRange(params) }
  const query = [range, pageSize]
  const after = pageIndex > 0 ? await cursors.before(query, pageIndex) : undefined
  const skip = after ? 0 : pageIndex * pageSize
  if (skip > maxSkip) throw new ContractError('InvalidParams', { detail: 'pageIndex: too deep, use endTime' })
  const near = after ? undefined : await inbox.newestTime(range.conversation)
  const rows = await messages.history(range, { limit: pageSize, after, skip, near })
  await rememberEnd(rows.at(-1))
  return rows.map((message) => messageRow(message, owner))

  async function rememberEnd(last: MessageDocument | undefined): Promise<void> {
    if (last && rows.length === pageSize) await cursors.remember(query, pageIndex, last)
  }
}
