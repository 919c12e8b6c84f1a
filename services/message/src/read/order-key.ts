const fiveMinutes = 300
/** So long (seconds) a message may say it was sent before it came. */
export const mostLate = 86_400

/** Seconds since 1970; from 10^11 on some clients mean milliseconds. Undefined when it is no number. */
export function seconds(value: unknown): number | undefined {
  const parsed = typeof value === 'string' && value.trim() ? Number(value) : value
  if (typeof parsed !== 'number' || !Number.isFinite(parsed)) return undefined
  return Math.abs(parsed) >= 1e11 ? parsed / 1000 : parsed
}

/**
 * Where a message stands in its chat, in seconds: the sender's own time, unless it differs from the arrival (ms) by more
 * than +5 min or -24 h (spec xmpp.md §10).
 */
export function orderKey(timeSend: unknown, arrivedAt: number): number {
  const sent = seconds(timeSend)
  const arrived = arrivedAt / 1000
  if (sent === undefined || sent > arrived + fiveMinutes || sent < arrived - mostLate) return arrived
  return sent
}
