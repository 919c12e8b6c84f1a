import type { ClientSession } from 'mongodb'
import type { RemovedRow } from './backlog-repository.ts'
import type { Block } from './blocks-repository.ts'
import { type RowReader, summaryOf, without } from './packed-rows.ts'
import type { Page } from './pages-repository.ts'
import type { SearchIndex } from './search-index.ts'

/** Takes messages out of the blocks and pages they are in. */
export async function removeRows(
  index: SearchIndex,
  removed: readonly RemovedRow[],
  session: ClientSession,
): Promise<void> {
  for (const [conversation, some] of Map.groupBy(removed, (row) => row.conversation)) {
    const times = some.map(({ timeSend }) => timeSend)
    const ids = new Set(some.map(({ id }) => id.toHexString()))
    const around = {
      conversation,
      minTime: { $lte: times.reduce((a, b) => Math.max(a, b)) },
      maxTime: { $gte: times.reduce((a, b) => Math.min(a, b)) },
    }
    const isGone = ({ hexId }: RowReader) => ids.has(hexId)
    for await (const block of index.blocks.find(around, session)) await rewriteBlock(index, block, isGone, session)
    for await (const page of index.pages.find(around, session)) await rewritePage(index, page, isGone, session)
  }
}

const expiredAtOnce = 50

/** Takes expired messages out of the index. Searches never show them; this frees their room. Returns the parts rewritten. */
export async function removeExpired(index: SearchIndex, now: number, signal?: AbortSignal): Promise<number> {
  const isGone = ({ expireAt }: RowReader) => expireAt <= now
  const expired = { minExpiry: { $lte: new Date(now) } }
  let rewritten = 0
  for (let some = expiredAtOnce; some && !signal?.aborted; rewritten += some)
    some = await index.transaction(async (session) => {
      const blocks = await index.blocks.find(expired, session).limit(expiredAtOnce).toArray()
      const pages = await index.pages.find(expired, session).limit(expiredAtOnce).toArray()
      let changed = 0
      for (const block of blocks) changed += await rewriteBlock(index, block, isGone, session)
      for (const page of pages) changed += await rewritePage(index, page, isGone, session)
      return changed
    })
  return rewritten
}

type IsGone = (row: RowReader) => boolean

/** These return 1 when there was something to take out, else 0. */
async function rewriteBlock(
  { blocks }: SearchIndex,
  block: Block,
  isGone: IsGone,
  session: ClientSession,
): Promise<number> {
  const rows = without(block.rows, isGone)
  if (!rows) return 0
  if (rows.length) await blocks.write({ fresh: [], changed: [{ ...block, rows, ...summaryOf(rows, block) }] }, session)
  else await blocks.remove([block._id], session)
  return 1
}

async function rewritePage(
  { pages }: SearchIndex,
  page: Page,
  isGone: IsGone,
  session: ClientSession,
): Promise<number> {
  const rows = without(page.rows, isGone)
  if (!rows) return 0
  if (rows.length) await pages.replace({ ...page, rows, ...summaryOf(rows, page) }, session)
  else await pages.remove([page._id], session)
  return 1
}
