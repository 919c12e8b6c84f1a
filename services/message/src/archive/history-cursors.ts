import { createHash } from 'node:crypto'
import type { Redis } from '@im/service-kit'
import { ObjectId } from 'mongodb'
import type { HistoryPosition } from './messages-repository.ts'

const lifeSeconds = 600

/**
 * Remembers where a page of a history ended, so that the next one starts there: page 1,000 costs as much as page 1, and
 * messages that arrive between two pages shift nothing. A lost cursor costs time, not correctness.
 */
export interface HistoryCursors {
  /** The last row of page `pageIndex - 1` of this query. */
  before(query: readonly unknown[], pageIndex: number): Promise<HistoryPosition | undefined>
  remember(query: readonly unknown[], pageIndex: number, last: HistoryPosition): Promise<void>
}

export function createHistoryCursors(redis: Redis): HistoryCursors {
  const keyOf = (query: readonly unknown[], pageIndex: number) =>
    `history:${createHash('md5').update(JSON.stringify(query)).digest('base64url')}:${pageIndex}`
  return {
    async before(query, pageIndex) {
      const text = await redis.get(keyOf(query, pageIndex - 1)).catch(() => null)
      if (!text) return undefined
      const [timeSend, ts, id] = JSON.parse(text) as [number, number, string]
      return { timeSend, ts, _id: new ObjectId(id) }
    },
    async remember(query, pageIndex, { timeSend, ts, _id }) {
      const text = JSON.stringify([timeSend, ts, _id.toHexString()])
      await redis.set(keyOf(query, pageIndex), text, 'EX', lifeSeconds).catch(() => {})
    },
  }
}
