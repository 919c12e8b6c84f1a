/** Cents as a text of yuan: `12.30`. */
export const yuanText = (cents: number): string => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`

/** Cents of a text of yuan with at most two decimals; undefined for any other text. */
export function centsOf(yuan: string): number | undefined {
  const parts = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(yuan)
  return parts ? Number(parts[1]) * 100 + Number((parts[2] ?? '').padEnd(2, '0')) : undefined
}

/** `yyyy-MM-dd HH:mm:ss` by the clock of UTC+8, which the providers use. */
export const chinaTime = (ms: number): string =>
  new Date(ms + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')
