import { type Caller, ContractError } from '@im/contracts'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { isNewer, type MessageDocument, type Place } from '../messages/message-document.ts'
import type { Near } from '../messages/messages-repository.ts'
import { timeRange } from '../messages/time-range.ts'

/** Rows that may be skipped when the end of the page before is not known any more. */
const maxSkip = 10_000
/** Rows that may come on top of a page, at its upper and at its lower border each. */
const mostOnTop = 1000
/**
 * Characters that the bodies of a page hold, those on top at each border apart: an answer repeats them a few times. It is 64
 * messages of the greatest length, so that no page of an app is cut.
 */
const mostText = 4 * 2 ** 20
/** Rows of the first read. */
const firstRead = 220

/** What is asked of a history. */
interface HistoryQuery {
  startTime: number
  endTime: number
  pageIndex: number
  pageSize: number
  maxType: number
}

/** The part of a conversation that its reader can see. */
export interface ReadableHistory {
  conversation: string
  /** Seconds; nothing before is theirs. */
  from: number
  isSeen: (message: MessageDocument) => boolean
  /** What is theirs although it stands before `from`, the newest first: up to but without `before` (seconds). */
  antedated?: (range: { before: number | undefined; limit: number }) => AsyncIterable<MessageDocument>
  near: Near
}

/**
 * A page of a history, newest first. Rows in the second of `endTime` come on top of the page, and the first page is filled
 * up to the end of the second of its last row (spec 07-message.md), so that paging by the time of the last row gets on and
 * misses nothing. A page of very long messages has fewer rows; the next one goes on behind them. A page deep in the history without the pages before it (their ends are remembered for ten minutes) is
 * refused: InvalidParams says to narrow `endTime`.
 */
export async function readHistoryPage(
  { messages, cursors }: Pick<Deps, 'messages' | 'cursors'>,
  caller: Caller,
  { pageIndex, ...query }: HistoryQuery,
  { conversation, isSeen, near, antedated, ...history }: ReadableHistory,
): Promise<MessageDocument[]> {
  const { pageSize, maxType } = query
  const { from = 0, before } = timeRange(query)
  const border = before === undefined ? undefined : before - 1
  const range = { conversation, from: Math.max(from, history.from), before }
  const after = pageIndex > 0 ? await endOfPageBefore() : undefined

  const { rows: page, hasMore } = pageIndex > 0 && !after ? { rows: [], hasMore: false } : await readPage()
  const last = page.at(-1)
  if (last && (hasMore || page.length >= pageSize))
    await cursors.keep(caller, query, pageIndex, [last.timeSend, last.ts, last._id.toHexString()])
  return page

  async function endOfPageBefore(): Promise<Place | undefined> {
    const kept = await cursors.after<[number, number, string]>(caller, query, pageIndex - 1)
    if (kept) return { timeSend: kept[0], ts: kept[1], _id: new ObjectId(kept[2]) }
    const skipped = pageIndex * pageSize
    if (skipped > maxSkip) throw new ContractError('InvalidParams', { detail: 'pageIndex: too deep, use endTime' })
    // Counts also what the reader does not see: a row may come twice then, but none is missing.
    return await messages.placeAt({ ...range, before: border }, skipped, near)
  }

  async function readPage(): Promise<{ rows: MessageDocument[]; hasMore: boolean }> {
    const rows: MessageDocument[] = []
    let [onTop, counted, added] = [0, 0, 0]
    let [textOnTop, text] = [0, 0]
    for await (const message of foundRows()) {
      if (message.contentType >= maxType || !isSeen(message)) continue
      if (border !== undefined && message.timeSend >= border) {
        textOnTop += message.body.length
        if (onTop++ < mostOnTop && textOnTop <= mostText) rows.push(message)
        continue
      }
      text += message.body.length
      if (counted < pageSize && text <= mostText) counted++
      else if (pageIndex > 0 || !isSameSecond(message, rows.at(-1)!) || added++ === mostOnTop || text > 2 * mostText)
        return { rows, hasMore: true }
      rows.push(message)
    }
    return { rows, hasMore: false }
  }

  async function* foundRows(): AsyncGenerator<MessageDocument> {
    yield* messages.newestFirst(range, { near, after, chunk: Math.min(pageSize + spareRows, firstRead) })
    if (!antedated || from >= history.from) return
    const limit = pageSize + mostOnTop + spareRows
    for await (const message of antedated({ before: after ? after.timeSend + 1 : before, limit }))
      if (message.timeSend >= from && !(after && !isNewer(after, message))) yield message
  }
}

/** Read beyond a page at once, for rows its reader does not see. */
const spareRows = 20

const isSameSecond = (a: MessageDocument, b: MessageDocument) => Math.floor(a.timeSend) === Math.floor(b.timeSend)
