import { createHash } from 'node:crypto'
import type { Caller } from '@im/contracts'
import type { Redis } from '@im/service-kit'

const lifeSeconds = 600

/**
 * Remembers where a page ended, so that the next one starts there: page 1,000 costs as much as page 1, and what comes between
 * two pages shifts nothing. Each session has its own: two devices that page at once don't meet. A lost cursor costs time and
 * rows that come twice, never a row.
 */
export interface PageCursors {
  /** What was kept after page `pageIndex` of this query. */
  after<T>(caller: Caller, query: unknown, pageIndex: number): Promise<T | undefined>
  keep(caller: Caller, query: unknown, pageIndex: number, end: unknown): Promise<void>
}

export function createPageCursors(redis: Redis): PageCursors {
  const keyOf = ({ userId, sessionId, device }: Caller, query: unknown, pageIndex: number) => {
    const text = JSON.stringify([userId, sessionId, device, query])
    return `page:${createHash('md5').update(text).digest('base64url')}:${pageIndex}`
  }
  return {
    async after(caller, query, pageIndex) {
      const text = await redis.get(keyOf(caller, query, pageIndex)).catch(() => null)
      return text ? JSON.parse(text) : undefined
    },
    async keep(caller, query, pageIndex, end) {
      await redis.set(keyOf(caller, query, pageIndex), JSON.stringify(end), 'EX', lifeSeconds).catch(() => {})
    },
  }
}
