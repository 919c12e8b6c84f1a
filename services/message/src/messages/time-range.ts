/**
 * Bounds of a query by time, in seconds: the start is rounded down and the end up to the end of its second, because apps
 * send back truncated times. 0 is open (spec 07-message.md).
 */
export function timeRange({ startTime, endTime }: { startTime: number; endTime: number }): {
  from?: number
  before?: number
} {
  return {
    ...(startTime > 0 ? { from: Math.floor(startTime) } : {}),
    ...(endTime > 0 ? { before: Math.floor(endTime) + 1 } : {}),
  }
}
