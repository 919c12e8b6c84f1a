import type { PostingQuery } from './postings-repository.ts'

interface Placed {
  timeSend: number
}

/** One query of the index: tokens, and since when its messages may be seen (seconds). */
export interface Lane {
  tokens: readonly string[]
  since?: number
}

type Find<T> = (query: Pick<PostingQuery, 'tokens' | 'timeSend'>, limit: number) => Promise<T[]>

/**
 * Reads several lanes as one, newest first, and no further than it is asked: each step gives everything down to a point in
 * time, `downTo` (exclusive when `above`), that no later step goes beyond. The order within a step is the caller's.
 *
 * `windows` are points in time to stop at on the way (descending). They keep a query over many lanes with many answers each
 * from reading all of them where the server can't merge its ranges (MongoDB merges up to 200, others none).
 */
export async function* walkNewest<T extends Placed>(
  find: Find<T>,
  lanes: readonly Lane[],
  range: { from?: number; before?: number },
  windows: readonly number[],
  firstLimit: number,
): AsyncGenerator<{ rows: T[]; downTo: number; above: boolean }> {
  let upper: { $lt?: number; $lte?: number } = range.before === undefined ? {} : { $lt: range.before }
  let limit = firstLimit
  const lowest = range.from ?? Number.NEGATIVE_INFINITY
  const inside = windows.filter((at) => at > lowest && (range.before === undefined || at < range.before))
  for (const lower of [...inside, lowest]) {
    for (;;) {
      const answers = await Promise.all(
        lanes.map(async ({ tokens, since }) => {
          const from = Math.max(lower, since ?? Number.NEGATIVE_INFINITY)
          const top = upper.$lte ?? upper.$lt ?? Number.POSITIVE_INFINITY
          if (from > top) return []
          return await find({ tokens, timeSend: { ...(Number.isFinite(from) ? { $gte: from } : {}), ...upper } }, limit)
        }),
      )
      const cut = answers.filter((rows) => rows.length >= limit).map((rows) => rows.at(-1)!.timeSend)
      if (!cut.length) {
        yield { rows: answers.flat(), downTo: lower, above: false }
        upper = { $lt: lower }
        break
      }
      // A lane that was cut may hold more with the time of its last row: that moment is read again, as the next top.
      const horizon = Math.max(...cut)
      const complete = answers.flat().filter(({ timeSend }) => timeSend > horizon)
      if (complete.length) yield { rows: complete, downTo: horizon, above: true }
      else limit *= 4
      upper = { $lte: horizon }
    }
  }
}
